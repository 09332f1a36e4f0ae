"""The driver of NVIDIA's GPUs on this machine."""

from __future__ import annotations

import pathlib
import re

__all__ = ["driver_version"]

# What the kernel says of the driver that it has loaded; a container sees the same.
_FILE = pathlib.Path("/proc/driver/nvidia/version")


def driver_version(file: pathlib.Path = _FILE) -> str:
    """Return the version of the driver, such as 550.54.15; empty where it can't be told."""
    try:
        told = file.read_text()
    except OSError:
        return ""
    # NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024
    found = re.search(r"Kernel Module\b.*?\s(\d+(?:\.\d+)+)\s", told)
    return found[1] if found else ""
