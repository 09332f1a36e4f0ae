"""Files and folders that a command writes: refused before the work, and replaced whole.

Only regular files are ever replaced. What leads to a device, a FIFO or an open descriptor is written into, as
a shell's ``>`` does: as root, a new file in the place of ``/dev/null`` would break the machine.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import pathlib
import re
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from typing import BinaryIO

from orchestrator.errors import UsageError
from workers.files import irregular

__all__ = [
    "digest_of_file",
    "leads_to_stdout",
    "writable",
    "writable_folder",
    "write",
    "write_folder",
    "writing",
]

# A FIFO can be opened when somebody reads it; whoever is to may still be starting.
_READER_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_DESCRIPTORS = re.compile(r"/proc/(?:self|\d+)(?:/task/\d+)?/fd")
_STDOUT = 1
#: What is written into where it is.
_STREAMS = ("a FIFO", "a character device")


def writable(path: str | os.PathLike[str], *, read: Collection[str | os.PathLike[str]] = ()) -> pathlib.Path:
    """Find out before the work, not after it, that a file can't be written.

    Parameters
    ----------
    read : collection of path, optional
        Files that the command reads: none of them is meant to be lost.

    Raises
    ------
    UsageError
    """
    result = pathlib.Path(path).absolute()
    descriptor = _descriptor(result)
    if descriptor is not None:
        _require_open(descriptor, path)
        return result
    if result.is_dir():
        raise UsageError(f"{path} is a folder; name the file to write")
    real = pathlib.Path(os.path.realpath(result))
    if not real.parent.is_dir():
        raise UsageError(f"there is no folder {real.parent}; make it first")
    kind = _kind(real)
    if kind and kind not in _STREAMS:
        raise UsageError(f"{path} is {kind}, which nothing is written to; name a file")
    for other in read:
        if real.exists() and os.path.exists(other) and real.samefile(other):
            raise UsageError(f"{path} is what is read; name another file to write")
    # A file is replaced, which its folder has to allow.
    needed = [real] if kind else [real.parent, *([real] if real.exists() else [])]
    refused = next((place for place in needed if not os.access(place, os.W_OK)), None)
    if refused is not None:
        whose = "" if refused == real else f" in {refused}"
        raise UsageError(f"{path} can't be written{whose}: {_why_not(refused)}")
    return result


def leads_to_stdout(path: str | os.PathLike[str]) -> bool:
    """Say whether a path is this process's stdout by another name, as ``/dev/stdout`` is."""
    return _descriptor(pathlib.Path(path).absolute()) == _STDOUT


@contextlib.contextmanager
def writing(path: pathlib.Path) -> Iterator[BinaryIO]:
    """Open a file to be written, whole or not at all: who is interrupted leaves the old one.

    Raises
    ------
    UsageError
        It can't be written: permission, space.
    BrokenPipeError
        Who read it has left.
    """
    descriptor = _descriptor(path)
    real = pathlib.Path(os.path.realpath(path))
    try:
        if descriptor is not None:
            if descriptor == _STDOUT:
                sys.stdout.flush()
            with os.fdopen(os.dup(descriptor), "wb") as file:
                yield file
        elif _kind(real):
            with os.fdopen(_opened(real), "wb") as file:
                yield file
        else:
            with _replacing(real) as file:
                yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}") from None


@contextlib.contextmanager
def _replacing(path: pathlib.Path) -> Iterator[BinaryIO]:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
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
            raise UsageError(f"{path} can't be written in {result.parent}: {_why_not(result.parent)}")
        return result
    if not result.is_dir():
        raise UsageError(f"{path} is {_kind(result) or 'a file'}; name the folder to write")
    others = sorted(entry.name for entry in result.iterdir() if entry.name not in names)
    others += sorted(f"{name}, {kind}" for name in names if (kind := _kind(result / name)))
    if others:
        listed = ", ".join(others[:3]) + (" and more" if len(others) > 3 else "")
        raise UsageError(f"the folder {path} holds something else ({listed}); name a new or an empty one")
    if not os.access(result, os.W_OK):
        raise UsageError(f"{path} can't be written: {_why_not(result)}")
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


def _kind(path: pathlib.Path) -> str:
    """Name what a path leads to where that is no regular file; empty where nothing is there."""
    try:
        return irregular(path.stat().st_mode)
    except OSError:
        return ""


def _descriptor(path: pathlib.Path) -> int | None:
    """Return the open descriptor of this process that a path stands for, link by link."""
    for _ in range(40):  # as many links as Linux follows
        folder = os.path.realpath(path.parent)
        if path.name.isdigit() and _DESCRIPTORS.fullmatch(folder) and _is_own(folder):
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / os.readlink(path)
    return None


def _is_own(folder: str) -> bool:
    return folder.split("/")[2] in ("self", str(os.getpid()))


def _require_open(descriptor: int, path: str | os.PathLike[str]) -> None:
    try:
        mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError:
        raise UsageError(f"{path} is not open; name a file to write") from None
    if mode == os.O_RDONLY:
        raise UsageError(f"{path} is open for reading only; name a file to write")


def _opened(path: pathlib.Path) -> int:
    """Open what is not to be replaced; a FIFO when somebody reads it."""
    until = time.monotonic() + _READER_SECONDS
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > until:
                raise UsageError(
                    f"{path}: nobody reads this FIFO; {_READER_SECONDS:.0f} s were waited for"
                ) from None
            time.sleep(_LOOK_SECONDS)
        else:
            os.set_blocking(descriptor, True)
            return descriptor


def _why_not(path: pathlib.Path) -> str:
    read_only = os.statvfs(path).f_flag & os.ST_RDONLY
    return "the file system is read only" if read_only else "permission denied"


def digest_of_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's content."""
    with pathlib.Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
