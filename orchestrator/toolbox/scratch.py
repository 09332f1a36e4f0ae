"""A folder for what is too large to travel between a command's processes in a message."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile
import threading

__all__ = ["Scratch"]

_PREFIX = "tunefleet-scratch-"
_LOCK = "in-use"


class Scratch:
    """Made when it is first asked for, in the system's folder for temporary files, and removed with its end.

    Who is killed removes nothing: that is done by whoever next makes such a folder. The kernel lets go of a
    lock with the process that held it, which is how one that is in use is told from one that was left.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._folder: pathlib.Path | None = None
        self._lock = -1

    def folder(self) -> str:
        """Return its path."""
        with self._guard:
            if self._folder is None:
                self._folder, self._lock = _made()
            return str(self._folder)

    def remove(self) -> None:
        """Remove it and all that is in it; it is made again if it is asked for again."""
        with self._guard:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                os.close(self._lock)
                self._folder = None


def _made() -> tuple[pathlib.Path, int]:
    parent = pathlib.Path(tempfile.gettempdir())
    for left in parent.glob(f"{_PREFIX}*"):
        # Another user's, or somebody removes it too.
        with contextlib.suppress(OSError):
            _remove_left(left)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return folder, lock


def _remove_left(folder: pathlib.Path) -> None:
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(lock)
