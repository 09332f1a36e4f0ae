"""Turns at the cores and GPUs of a machine: one measurement at a time on each, whoever makes it.

Two coordinators on one machine, or on one Ray cluster, know nothing of each other. Each measurement holds a
lock for every core it uses, or for its GPU, which the kernel gives back when its process dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import pathlib
import time
from collections.abc import Iterator, Sequence

from workers.errors import EngineTimeoutError
from workers.messages import Station

__all__ = ["WAIT_SECONDS", "cores_in_use", "parts_of", "turn"]

#: Seconds to wait for others that measure: a few of the longest measurements one after the other.
WAIT_SECONDS = 300.0
# One place for all users of the machine, whatever their own temporary folder is. Anyone may lock, and so
# hold others up for as long as they wait.
_FOLDER = pathlib.Path("/tmp/tunefleet-turns")
_LOOK_SECONDS = 0.002


def cores_in_use(count: int) -> list[str]:
    """Name the first cores of those this process may use, where kernels for so many run; 0 stands for all."""
    usable = sorted(os.sched_getaffinity(0))
    return [f"core {core}" for core in usable[: count or None]]


def parts_of(station: Station) -> list[str]:
    """Name what a measurement on a device of this machine has to itself; nothing for one of another."""
    if station.tracker is not None:
        return []  # its tracker gives it to one at a time
    device = station.device
    if device.kind == "cpu":
        return cores_in_use(device.cores)
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "") if device.kind == "cuda" else ""
    names = seen.split(",") if seen else []
    return [f"{device.kind} {names[station.index] if station.index < len(names) else station.index}"]


@contextlib.contextmanager
def turn(parts: Sequence[str], wait_s: float = WAIT_SECONDS) -> Iterator[None]:
    """Have these parts of the machine for a measurement.

    Where the locks can't be made at all, a read-only file system say, nobody waits for anybody.

    Raises
    ------
    EngineTimeoutError
        Somebody else had one of them for `wait_s` seconds.
    """
    until = time.monotonic() + wait_s
    with contextlib.ExitStack() as held:
        # Always in one order, or two might wait for each other.
        for part in sorted(parts):
            try:
                file = _file(part)
            except OSError:
                continue
            held.callback(os.close, file)
            while not _locked(file):
                if time.monotonic() > until:
                    raise EngineTimeoutError(
                        f"waited {wait_s:.0f} s for {part} of this machine, on which another tunefleet "
                        "measures: one coordinator for all campaigns gives them turns"
                    )
                time.sleep(_LOOK_SECONDS)
        yield


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _file(part: str) -> int:
    # Numbers of cores mean the same wherever one kernel runs, in containers too.
    path = _FOLDER / f"{_boot()}-{part.replace(' ', '-').replace('/', '-')}"
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, flags)
    if not _FOLDER.is_dir():
        _FOLDER.mkdir(exist_ok=True)
        _FOLDER.chmod(0o1777)
    with contextlib.suppress(FileExistsError):
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
    return os.open(path, flags)


@functools.cache
def _boot() -> str:
    try:
        return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        return "here"
