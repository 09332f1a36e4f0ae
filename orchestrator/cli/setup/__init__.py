"""This machine, its engines, devices and database, one command a file."""
