"""Files that a command writes: refused before the work, and replaced whole."""

from __future__ import annotations

import os
import pathlib

from orchestrator.errors import UsageError

__all__ = ["writable", "write"]


def writable(path: str | os.PathLike[str]) -> pathlib.Path:
    """Find out before the work, not after it, that a file can't be written.

    Raises
    ------
    UsageError
    """
    result = pathlib.Path(path).absolute()
    if result.is_dir():
        raise UsageError(f"{path} is a folder; name the file to write")
    if not result.parent.is_dir():
        raise UsageError(f"there is no folder {result.parent}; make it first")
    if not os.access(result if result.exists() else result.parent, os.W_OK):
        raise UsageError(f"{path} can't be written: permission denied")
    return result


def write(path: pathlib.Path, data: bytes) -> None:
    """Write a file, whole or not at all: who is interrupted leaves the old one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UsageError(f"{path} can't be written: {error.strerror}") from None
