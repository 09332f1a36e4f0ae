"""Reading an ONNX file and the data files beside it, with nothing left to fail later."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import onnx

from workers.errors import ModelError
from workers.files import why_no_model
from workers.models import _graphs
from workers.models._names import refuse_names_that_are_no_text

__all__ = ["read_model"]

# A protobuf message can't be longer, and the prepared model travels as one.
_MAX_BYTES = 2**31 - 1

# Field 1 (ir_version) as a varint: how exporters start every model.
_FIRST_BYTE = b"\x08"


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise ModelError(f"{path} is a directory; give the path of the .onnx file inside it")
    try:
        wrong = why_no_model(path.stat())
        if wrong:
            raise ModelError(f"{path} {wrong}")
        data = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}") from None
    return data


def _parse(data: bytes, path: Path) -> onnx.ModelProto:
    if data.startswith(b"version https://git-lfs"):
        raise ModelError(f"{path} is a Git LFS pointer, not the model; run 'git lfs pull' where it came from")
    try:
        model = onnx.ModelProto.FromString(data)
    # protobuf's DecodeError, of a package that is onnx's dependency and ships no types.
    except Exception:
        if data.startswith(_FIRST_BYTE):
            raise ModelError(
                f"{path} is damaged or cut off after {len(data)} bytes; download or export the model again"
            ) from None
        raise ModelError(f"{path} is not an ONNX model") from None
    if not model.ir_version or not model.HasField("graph"):
        raise ModelError(f"{path} is not an ONNX model, or only its first {len(data)} bytes")
    return model


class _DataFiles:
    """The external data files of one model, each read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Model hubs keep links to a store of blobs: the link's folder and the blob's are both the model's.
        self._folders = {path.parent.resolve(), path.resolve().parent}
        self.contents: dict[str, bytes] = {}

    def _read(self, location: str) -> bytes:
        if location in self.contents:
            return self.contents[location]
        file = self._path.parent / location
        try:
            resolved = file.resolve()
            file.is_file()
        except (OSError, ValueError):  # a zero in it, or more letters than a name may have
            raise ModelError(
                f"{self._path} refers to external data under what can't be a file's name: {location[:80]!r}"
            ) from None
        outside = not any(resolved.is_relative_to(folder) for folder in self._folders)
        if Path(location).is_absolute() or ".." in Path(location).parts or outside:
            raise ModelError(
                f"{self._path} refers to external data outside its folder: {location!r}; "
                "save the model with its data beside it"
            )
        if not file.is_file():
            raise ModelError(
                f"{self._path}: its external data file {location!r} is missing; "
                f"put it beside the model, at {file}"
            )
        try:
            self.contents[location] = file.read_bytes()
        except OSError as error:
            raise ModelError(f"{file} can't be read: {error.strerror}") from None
        return self.contents[location]

    def take_in(self, tensor: Any) -> None:
        """Move a tensor's data from its file into the model."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if not location:
            raise ModelError(f"{self._path}: tensor {tensor.name!r} names no file for its external data")
        data = self._read(location)
        try:
            start = int(entries.get("offset", 0))
            length = int(entries.get("length", len(data) - start))
        except ValueError:
            raise ModelError(
                f"{self._path}: tensor {tensor.name!r} has a damaged external data entry"
            ) from None
        if start < 0 or length < 0 or start + length > len(data):
            raise ModelError(
                f"{self._path}: its external data file {location!r} is cut off: tensor {tensor.name!r} "
                f"needs bytes {start} to {start + length} of {len(data)}; copy the file again"
            )
        tensor.raw_data = data[start : start + length]
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")


def read_model(path: Path) -> tuple[onnx.ModelProto, str]:
    """Read a model with its external data inside.

    Returns
    -------
    model : onnx.ModelProto
    sha256 : str
        Of the file's bytes, then of its external data files' in the order in which the model names them.

    Raises
    ------
    ModelError
        The file or one of its data files is missing, unreadable, cut off, too large, or no ONNX model.
    """
    data = _read_bytes(path)
    model = _parse(data, path)
    refuse_names_that_are_no_text(model, path)
    files = _DataFiles(path)
    for tensor in _graphs.tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            files.take_in(tensor)
    digest = hashlib.sha256(data)
    for content in files.contents.values():
        digest.update(content)
    if model.ByteSize() > _MAX_BYTES:
        raise ModelError(
            f"{path} holds {model.ByteSize() / 2**30:.1f} GiB; models above 2 GiB can't be handled"
        )
    return model, digest.hexdigest()
