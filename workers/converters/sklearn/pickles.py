"""What a pickle holds, read without running it. The standard library alone.

A pickle is a program: to load it is to run it. But the classes that it names stand in it as text, and the
opcodes can be read one by one. joblib puts arrays between them, where reading ends: by then the classes of
what is around the arrays have been named.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import pickletools
import zlib
from dataclasses import dataclass
from typing import Any

__all__ = ["Contents", "contents"]

# A pickle of protocol 2 or later begins so; those of 0 and 1 have no beginning of their own.
_PROTOCOL = b"\x80"
_BEGIN_OLD = (b"ccopy_reg\n", b"ccopyreg\n", b"csklearn", b"clightgbm", b"cxgboost", b"cnumpy", b"(d", b"(i")
# PyTorch's own files of old begin with a pickled number.
_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
# Where joblib's or pickle's own machinery comes before the object itself.
_MACHINERY = {"copyreg", "copy_reg", "builtins", "__builtin__", "_codecs", "collections", "joblib"}
_MOST_BYTES = 2**26
_MOST_OPCODES = 300_000


@dataclass(frozen=True)
class Contents:
    """What a pickle says of itself.

    Attributes
    ----------
    classes : tuple of str
        Full names of the classes and functions that it asks for, in their order, pickle's own left out.
    versions : dict of str to str
        Of libraries, where the pickle has them ("scikit-learn").
    """

    classes: tuple[str, ...]
    versions: dict[str, str]

    @property
    def packages(self) -> set[str]:
        """The packages that the classes are of."""
        return {name.split(".")[0] for name in self.classes}


def contents(path: str) -> Contents | None:
    """Look into a pickle, or joblib's compressed one; None for what is none."""
    start = _start(path)
    if start.startswith(_TORCH):
        return None
    if not start.startswith((_PROTOCOL, *_BEGIN_OLD)):
        return None
    classes: list[str] = []
    versions: dict[str, str] = {}
    texts: list[str] = []
    memo: dict[int, str] = {}
    # What comes after an array of joblib's is no opcode any more.
    with contextlib.suppress(Exception):
        for place, (opcode, found, _) in enumerate(pickletools.genops(io.BytesIO(start))):
            argument: Any = found
            if opcode.name in ("GLOBAL", "INST"):
                _add(classes, *str(argument).split(" ", 1))
            elif opcode.name == "STACK_GLOBAL":
                if len(texts) >= 2:
                    _add(classes, texts[-2], texts[-1])
            elif "UNICODE" in opcode.name or opcode.name in ("STRING", "BINSTRING", "SHORT_BINSTRING"):
                if texts and texts[-1] == "_sklearn_version":
                    versions["scikit-learn"] = str(argument)
                texts.append(str(argument))
            elif opcode.name == "MEMOIZE":
                memo[len(memo)] = texts[-1] if texts else ""
            elif opcode.name in ("BINGET", "LONG_BINGET", "GET"):
                texts.append(memo.get(int(argument), ""))
            elif opcode.name in ("BINPUT", "LONG_BINPUT", "PUT"):
                memo[int(argument)] = texts[-1] if texts else ""
            if place > _MOST_OPCODES:
                break
    return Contents(tuple(dict.fromkeys(classes)), versions) if classes or _ends(path) else None


def _add(classes: list[str], module: str, name: str) -> None:
    if module.split(".")[0] not in _MACHINERY:
        classes.append(f"{module}.{name}")


def _ends(path: str) -> bool:
    """Whether a file without classes is a whole pickle all the same: a dict, say."""
    with contextlib.suppress(Exception), open(path, "rb") as file:
        last: Any = None
        for opcode, _, _ in pickletools.genops(file):
            last = opcode.name
        return str(last) == "STOP"
    return False


def _start(path: str) -> bytes:
    """Return the first bytes of a file, unpacked where joblib packed it."""
    with contextlib.suppress(Exception), open(path, "rb") as file:
        head = file.read(_MOST_BYTES)
        if head[:2] == b"\x1f\x8b":
            return gzip.open(path).read(_MOST_BYTES)
        if head[:3] == b"BZh":
            return bz2.open(path).read(_MOST_BYTES)
        if head[:6] == b"\xfd7zXZ\x00" or head[:3] == b"\x5d\x00\x00":
            return lzma.open(path).read(_MOST_BYTES)
        if head[:1] == b"\x78" and (head[0] * 256 + head[1]) % 31 == 0:
            return zlib.decompressobj().decompress(head, _MOST_BYTES)
        return head
    return b""
