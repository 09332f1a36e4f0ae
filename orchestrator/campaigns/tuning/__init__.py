"""One campaign's tuning: a state machine without I/O, and what carries its actions out."""
