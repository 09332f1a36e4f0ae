"""The three standard streams as a program needs them: all there, and able to write any text."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import IO

__all__ = ["STDOUT", "abandon_stdout", "named_stdout", "prepare_streams"]

#: Name of the stream in errors.
STDOUT = "stdout"

#: Name under which codecs know :func:`_plainly`.
_PLAINLY = "tunefleet.plainly"
_PLAIN = {"µ": "u", "→": "->", "…": "...", "·": "-", "×": "x", "–": "-", "—": "-"}
# What Python makes of bytes that aren't UTF-8, in arguments and file names (PEP 383).
_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF


def prepare_streams() -> None:
    """Open streams that were closed (``>&-``) to nowhere, and have none of them refuse a character.

    A terminal may know ASCII alone, and a model's names be in any script; a file's name need not even be
    UTF-8. What can't be written is written as an escape.
    """
    codecs.register_error(_PLAINLY, _plainly)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        _require_open(number)
        stream: IO[str] | None = getattr(sys, name)
        if stream is None:
            # The number is free no more: whatever is opened next isn't taken for a stream.
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
        if number and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_PLAINLY)


@contextlib.contextmanager
def named_stdout() -> Iterator[None]:
    """Have what stdout refuses say that it was stdout: the system's error names no file.

    Raises
    ------
    BrokenPipeError
        Who read it has left.
    OSError
        Whose ``filename`` is `STDOUT`.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, STDOUT) from None


def abandon_stdout() -> None:
    """Point a stdout that nobody reads any more to nowhere, so that its last flush says nothing."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _require_open(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        # The lowest number that is free, and those below are taken by now.
        with contextlib.suppress(OSError):
            os.open(os.devnull, os.O_RDWR)


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_escaped, error.object[error.start : error.end])), error.end


def _escaped(character: str) -> str:
    code = ord(character)
    if _FIRST_BYTE <= code <= _LAST_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    return _PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode()
