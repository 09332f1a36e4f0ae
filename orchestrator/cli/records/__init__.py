"""``records``, one command a file: what is stored, in and out."""
