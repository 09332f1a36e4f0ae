"""A file that an exporter wrote, made one to keep: it says where it comes from."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import onnx

from workers.errors import ModelError
from workers.messages import Origin
from workers.models import _graphs
from workers.models._origin import put_origin

__all__ = ["adopt"]

_DIGITS = 16


def adopt(path: str | os.PathLike[str], target: str | os.PathLike[str], origin: Origin) -> list[str]:
    """Write a copy of an exporter's file that names its origin.

    Data files are called by their content, so that those of two models in a folder never get into each
    other's way, and the same model is the same bytes wherever it is put.

    Parameters
    ----------
    path : path
        The exporter's file, with its data files beside it.
    target : path
        The file to write, in a folder of its own.

    Returns
    -------
    list of str
        Names of the files written, the model's own last.

    Raises
    ------
    ModelError
        The exporter's file is no ONNX model, or its data are not there.
    """
    source, written = Path(path), Path(target)
    try:
        model = onnx.load(source, load_external_data=False)
    # protobuf's DecodeError, of a package that is onnx's dependency and ships no types.
    except Exception as error:
        raise ModelError(f"{source.name} is no ONNX model: {error}") from None
    names: dict[str, str] = {}
    for tensor in _graphs.tensors(model):
        for entry in tensor.external_data:
            if entry.key == "location":
                if entry.value not in names:
                    names[entry.value] = _kept(source.parent / entry.value, written.parent)
                entry.value = names[entry.value]
    put_origin(model, origin)
    written.write_bytes(model.SerializeToString(deterministic=True))
    return [*names.values(), written.name]


def _kept(file: Path, folder: Path) -> str:
    try:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        name = f"weights-{digest[:_DIGITS]}.data"
        shutil.copyfile(file, folder / name)
    except OSError as error:
        raise ModelError(f"the exporter's data file {file.name} can't be copied: {error.strerror}") from None
    return name
