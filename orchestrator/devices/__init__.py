"""Devices: those that targets name, boards and their tracker, and the check of a device's speed."""
