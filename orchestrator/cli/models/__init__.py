"""Models, one command a file: their tasks, their best configs, libraries of them and what these do."""
