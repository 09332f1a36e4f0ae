"""The tests, in the tree of what they test; :mod:`tests.kit` is what they share."""
