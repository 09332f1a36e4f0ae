"""Files and folders that a command writes: refused before the work, and replaced whole."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Collection, Iterator, Mapping
from typing import BinaryIO

from orchestrator.errors import UsageError

__all__ = ["writable", "writable_folder", "write", "write_folder", "writing"]


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


def writable_folder(path: str | os.PathLike[str], names: Collection[str]) -> pathlib.Path:
    """Find out before the work that a folder of files can't be written.

    Parameters
    ----------
    names : collection of str
        What may be in a folder that is there already: what an earlier command wrote.

    Raises
    ------
    UsageError
    """
    result = pathlib.Path(path).absolute()
    if not result.exists():
        if not result.parent.is_dir():
            raise UsageError(f"there is no folder {result.parent}; make it first")
        if not os.access(result.parent, os.W_OK):
            raise UsageError(f"{path} can't be written: permission denied")
        return result
    if not result.is_dir():
        raise UsageError(f"{path} is a file; name the folder to write")
    others = sorted(entry.name for entry in result.iterdir() if entry.name not in names)
    if others:
        listed = ", ".join(others[:3]) + (" and more" if len(others) > 3 else "")
        raise UsageError(f"the folder {path} holds something else ({listed}); name a new or an empty one")
    if not os.access(result, os.W_OK):
        raise UsageError(f"{path} can't be written: permission denied")
    return result


def write_folder(path: pathlib.Path, files: Mapping[str, bytes], names: Collection[str]) -> None:
    """Write a folder's files, all of them or none, in place of those that are there under `names`.

    Who is interrupted leaves the old ones, or a folder that lacks files, but never some old and some new.
    """
    made = not path.exists()
    partial = {name: path / f".{name}.{os.getpid()}" for name in files}
    try:
        path.mkdir(exist_ok=True)
        for name, data in files.items():
            partial[name].write_bytes(data)
        for name in names:
            (path / name).unlink(missing_ok=True)
        for name, new in partial.items():
            new.replace(path / name)
    except OSError as error:
        for new in partial.values():
            new.unlink(missing_ok=True)
        if made and path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        raise UsageError(f"{path} can't be written: {error.strerror}") from None
