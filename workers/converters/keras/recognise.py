"""Which of Keras' files a path is, by its contents. The standard library alone."""

from __future__ import annotations

import contextlib
import json
import mmap
import zipfile
from typing import Any

__all__ = [
    "DAMAGED",
    "HDF5",
    "HDF5_LAMBDA",
    "KERAS",
    "KERAS_LAMBDA",
    "WEIGHTS",
    "config_of",
    "recognises",
    "written_by",
]

KERAS, KERAS_LAMBDA = "Keras 3 file", "Keras 3 file with Lambda layers"
HDF5, HDF5_LAMBDA = "Keras HDF5 file", "Keras HDF5 file with Lambda layers"
WEIGHTS, DAMAGED = "Keras weights", "damaged Keras file"

_HDF5 = b"\x89HDF\r\n\x1a\n"
_PARTS = {"config.json", "metadata.json"}
# How a function of Python's own code is written down, in the two formats.
_LAMBDA, _LAMBDA_LAYER = "__lambda__", b'"class_name": "Lambda"'
_OF_WEIGHTS = (b"layer_names", b"vars")


def recognises(path: str) -> str | None:
    """Name the kind of a file."""
    config = config_of(path)
    if config is not None:
        return KERAS_LAMBDA if _has_lambda(config) else KERAS
    if _starts(path, _HDF5):
        if _holds(path, b"model_config"):
            return HDF5_LAMBDA if _holds(path, _LAMBDA_LAYER) else HDF5
        # What Keras 2 and 3 write into a file of weights; there are others' HDF5 files.
        return WEIGHTS if any(_holds(path, word) for word in _OF_WEIGHTS) else None
    return DAMAGED if path.endswith(".keras") or "model.weights.h5" in _parts(path) else None


def config_of(path: str) -> Any:
    """Return a .keras file's configuration; None for what is none."""
    return _read(path, "config.json") if _parts(path) >= _PARTS else None


def written_by(path: str) -> str:
    """Return the version of Keras that wrote a .keras file; empty where it isn't said."""
    told = _read(path, "metadata.json")
    return str(told.get("keras_version", "")) if isinstance(told, dict) else ""


def _parts(path: str) -> set[str]:
    # zipfile raises much for what is damaged: BadZipFile, and errors of what lies below.
    with contextlib.suppress(Exception), zipfile.ZipFile(path) as archive:
        return set(archive.namelist())
    return set()


def _read(path: str, part: str) -> Any:
    with contextlib.suppress(Exception), zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(part))
    return None


def _has_lambda(config: Any) -> bool:
    if isinstance(config, dict):
        return config.get("class_name") == _LAMBDA or any(map(_has_lambda, config.values()))
    return isinstance(config, list) and any(map(_has_lambda, config))


def _starts(path: str, start: bytes) -> bool:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(len(start)) == start
    return False


def _holds(path: str, word: bytes) -> bool:
    with (
        contextlib.suppress(OSError, ValueError),
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return content.find(word) >= 0
    return False
