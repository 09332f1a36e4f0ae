"""Questions to the store, one command a file: best, history, slowest, failures, compare."""
