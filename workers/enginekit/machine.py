"""What engines ask of the machine they run on, whatever TVM they bring."""

from __future__ import annotations

import os
import pathlib
import platform
import re

__all__ = [
    "apart",
    "architecture",
    "cpu_flags",
    "cpu_model",
    "is_own",
    "own_triple",
    "slug",
    "system",
    "usable_cores",
]


def usable_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def cpu_model() -> str:
    """Return the CPU's name as the operating system has it."""
    text = _cpuinfo()
    if not text:
        return platform.processor() or platform.machine()
    found = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def cpu_flags() -> set[str]:
    """Return what the operating system lets programs use of a CPU of x86, as it calls it; empty elsewhere."""
    found = re.search(r"^flags\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    return set(found.group(1).split()) if found else set()


def _cpuinfo() -> str:
    try:
        return pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def architecture(triple: str) -> str:
    """Return the instruction set that a target's triple names: ``x86_64``, ``aarch64``, ``arm``, ..."""
    name = triple.partition("-")[0].lower()
    if re.fullmatch(r"i[3-6]86", name):
        return "i686"
    if name.startswith(("arm64", "aarch64")):
        return "aarch64"
    # Each system has a name of its own for what a 32-bit ARM can do: armv7a, armv7l, armv8l, thumbv7.
    return "arm" if name.startswith(("arm", "thumb")) else {"amd64": "x86_64"}.get(name, name)


def system(triple: str) -> str:
    """Return the system that a target's triple names: ``linux``, ``windows``, ...; empty where it names none.

    Android is one by itself, though its kernel is Linux: programs of either don't run on the other.
    """
    rest = triple.lower().split("-")[1:]
    for name, parts in _SYSTEMS.items():
        if any(part.startswith(parts) for part in rest):
            return name
    return ""


# By how parts of a triple begin; the more special first.
_SYSTEMS = {
    "android": ("android",),
    "linux": ("linux",),
    "windows": ("windows", "win32", "mingw", "msvc", "cygwin"),
    "darwin": ("darwin", "macos", "ios", "apple"),
    "freebsd": ("freebsd",),
    "none": ("none", "elf", "eabi"),
}


def apart(one: str, other: str) -> tuple[str, str] | None:
    """Return what keeps programs for two triples apart: their instructions, or their systems where both say.

    None where nothing does.
    """
    machines, systems = (architecture(one), architecture(other)), (system(one), system(other))
    if machines[0] != machines[1]:
        return machines
    return systems if all(systems) and systems[0] != systems[1] else None


def own_triple() -> str:
    """Return a triple of this machine: its instructions and its system."""
    return f"{platform.machine()}-{platform.system().lower()}"


def is_own(triple: str) -> bool:
    """Say whether libraries for a target's triple are ones of this machine."""
    return apart(triple, own_triple()) is None


def slug(text: str) -> str:
    """Return a text as one readable word."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
