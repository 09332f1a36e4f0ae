"""What engines ask of the machine they run on, whatever TVM they bring."""

from __future__ import annotations

import os
import pathlib
import platform
import re
import shutil

from workers.errors import EngineError

__all__ = ["architecture", "cpu_model", "cross_linker", "slug", "usable_cores"]


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


def architecture(triple: str) -> str:
    """Return the instruction set that a target's triple names: ``x86_64``, ``aarch64``, ``arm``, ..."""
    name = triple.partition("-")[0].lower()
    if re.fullmatch(r"i[3-6]86", name):
        return "i686"
    if name.startswith(("arm64", "aarch64")):
        return "aarch64"
    # Each system has a name of its own for what a 32-bit ARM can do: armv7a, armv7l, armv8l, thumbv7.
    return "arm" if name.startswith(("arm", "thumb")) else {"amd64": "x86_64"}.get(name, name)


def cross_linker(triple: str) -> str | None:
    """Return what links libraries for a target's triple here; None where the usual one does.

    Raises
    ------
    EngineError
        Where it isn't installed.
    """
    if not triple or triple.partition("-")[0] == platform.machine():
        return None
    # Debian and its likes name cross compilers so; a vendor in the triple is not part of that name.
    parts = triple.split("-")
    names = [f"{triple}-g++", f"{parts[0]}-{'-'.join(parts[-2:])}-g++"]
    for name in names:
        if shutil.which(name):
            return name
    raise EngineError(
        f"a library for {triple} is linked with {names[-1]}, which is not installed here "
        f"(Debian has it in the package g++-{parts[0].replace('_', '-')}-{'-'.join(parts[-2:])})"
    )


def slug(text: str) -> str:
    """Return a text as one readable word."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
