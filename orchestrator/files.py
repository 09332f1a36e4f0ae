"""Files that a command writes: refused before the work, and replaced whole."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO

from orchestrator.errors import UsageError

__all__ = ["writable", "write", "writing"]


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


@contextlib.contextmanager
def writing(path: pathlib.Path) -> Iterator[BinaryIO]:
    """Open a file to be written, whole or not at all: who is interrupted leaves the old one.

    Raises
    ------
    UsageError
        It can't be written: permission, space.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def write(path: pathlib.Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    with writing(path) as file:
        file.write(data)
