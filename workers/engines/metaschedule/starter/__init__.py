"""Schedules for kernels that nobody has measured: those of the starter pack, fitted, and else a rule's."""
