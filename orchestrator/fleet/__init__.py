"""Where work is carried out: the port, and an implementation of it in each folder beside it."""
