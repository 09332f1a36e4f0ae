"""Which of TensorFlow's files and folders a path is, by its contents. The standard library alone."""

from __future__ import annotations

import contextlib
import mmap
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "CHECKPOINT",
    "FILES",
    "FROZEN",
    "SAVED_MODEL",
    "SAVED_MODEL_FILES",
    "TFLITE",
    "folder_of",
    "recognises",
]

SAVED_MODEL, SAVED_MODEL_FILES = "SavedModel", "SavedModel that touches files"
FROZEN, TFLITE = "frozen graph", "TFLite file"
CHECKPOINT = "TensorFlow checkpoint"
#: Operators that reach beyond the graph: files of this machine, and Python.
FILES = (
    "WriteFile",
    "ReadFile",
    "MatchingFiles",
    "PyFunc",
    "PyFuncStateless",
    "EagerPyFunc",
    "WholeFileReaderV2",
)

_NAMES = ("saved_model.pb", "saved_model.pbtxt")
_IDENTIFIER = re.compile(r"[A-Z]\w*$")


def recognises(path: str) -> str | None:
    """Name the kind of a SavedModel's folder, a graph or a TFLite file."""
    folder = folder_of(path)
    if folder is not None:
        return SAVED_MODEL_FILES if any(_operators(folder)) else SAVED_MODEL
    if _is_checkpoint(Path(path)):
        return CHECKPOINT
    head = _head(path)
    if head[4:8] == b"TFL3":
        return TFLITE
    if head.lstrip().startswith(b"node {") or _begins_a_graph(head):
        return FROZEN
    return None


def folder_of(path: str) -> Path | None:
    """Return a SavedModel's folder, named itself or by the file in it; None where it is none."""
    place = Path(path)
    if place.name in _NAMES:
        place = place.parent
    return place if any((place / name).is_file() for name in _NAMES) else None


def _is_checkpoint(place: Path) -> bool:
    """Whether a folder or a file is one of training: weights by the names of variables, and no more."""
    if place.is_dir():
        return (place / "checkpoint").is_file() or any(place.glob("*.index"))
    stem = place.name.partition(".data-")[0] if ".data-" in place.name else place.stem
    named = ".data-" in place.name or place.suffix in (".index", ".meta")
    return named and place.is_file() and place.with_name(f"{stem}.index").is_file()


def _operators(folder: Path) -> Iterator[str]:
    """Yield which operators of `FILES` a SavedModel has."""
    for name in _NAMES:
        with (
            contextlib.suppress(OSError, ValueError),
            (folder / name).open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            for operator in FILES:
                # A node's second field, as protobuf writes it and its text.
                written = b"\x12" + bytes([len(operator)]) + operator.encode()
                if content.find(written) >= 0 or content.find(f'op: "{operator}"'.encode()) >= 0:
                    yield operator


def _head(path: str) -> bytes:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(4096)
    return b""


def _begins_a_graph(head: bytes) -> bool:
    """Whether protobuf's bytes begin with a node that has a name and an operator."""
    try:
        node = _field(head, 0, 1)
        name = _field(node, 0, 1)
        place = 1 + _varint(node, 1)[1] + len(name)
        operator = _field(node, place, 2)
        return bool(name.decode("utf-8")) and bool(_IDENTIFIER.match(operator.decode("ascii")))
    except (IndexError, ValueError):
        return False


def _field(content: bytes, place: int, number: int) -> bytes:
    if content[place] != number << 3 | 2:
        raise ValueError("another field")
    length, size = _varint(content, place + 1)
    return content[place + 1 + size : place + 1 + size + length]


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """Return a number and how many bytes it takes."""
    value = 0
    for size in range(10):
        byte = content[place + size]
        value |= (byte & 127) << 7 * size
        if byte < 128:
            return value, size + 1
    raise ValueError("no number")
