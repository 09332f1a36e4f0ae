"""Devices: what a target means, boards behind trackers, and how a device is known to run as it used to."""
