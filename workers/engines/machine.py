"""What engines ask of the machine they run on, whatever TVM they bring."""

from __future__ import annotations

import os
import pathlib
import platform
import re

__all__ = ["cpu_model", "slug", "usable_cores"]


def usable_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def cpu_model() -> str:
    """Return the CPU's name as the operating system has it."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def slug(text: str) -> str:
    """Return a text as one readable word."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
