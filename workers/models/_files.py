"""Reading an ONNX file and the data files beside it, with nothing left to fail later.

Large tensors are not read: they name their place, see :mod:`workers.models._mapped`.
"""

from __future__ import annotations

import hashlib
import math
import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx

from workers.errors import ModelError
from workers.files import why_no_model
from workers.models import _graphs, _mapped
from workers.models._names import refuse_names_that_are_no_text
from workers.models._wire import HERE, without_large_tensors

__all__ = ["read_model"]

# Field 1 (ir_version) as a varint: how exporters start every model.
_FIRST_BYTE = b"\x08"
_CHUNK = 1 << 20


def _content(path: Path) -> memoryview:
    """Map a model file, or read what can't be mapped."""
    if path.is_dir():
        raise ModelError(f"{path} is a directory; give the path of the .onnx file inside it")
    try:
        wrong = why_no_model(path.stat())
        if wrong:
            raise ModelError(f"{path} {wrong}")
        with path.open("rb") as file:
            # Nothing can be mapped of an empty file.
            data = memoryview(
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
            )
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}") from None
    return data


def _parse(data: memoryview, path: Path) -> onnx.ModelProto:
    if bytes(data[:64]).startswith(b"version https://git-lfs"):
        raise ModelError(f"{path} is a Git LFS pointer, not the model; run 'git lfs pull' where it came from")
    try:
        model = onnx.ModelProto.FromString(_without_large_tensors(data))
    # protobuf's DecodeError, of a package that is onnx's dependency and ships no types.
    except Exception:
        if data[:1] == _FIRST_BYTE:
            raise ModelError(
                f"{path} is damaged or cut off after {len(data)} bytes; download or export the model again"
            ) from None
        raise ModelError(f"{path} is not an ONNX model") from None
    if not model.ir_version or not model.HasField("graph"):
        raise ModelError(f"{path} is not an ONNX model, or only its first {len(data)} bytes")
    return model


def _without_large_tensors(data: memoryview) -> bytes:
    try:
        return without_large_tensors(data)
    except ValueError:
        return bytes(data)  # for protobuf to refuse


class _DataFiles:
    """The data files of one model, its own file among them.

    Attributes
    ----------
    ranges : dict of str to set of (int, int)
        Where the model's tensors are in each of its external files, in the order in which it names these.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Model hubs keep links to a store of blobs: the link's folder and the blob's are both the model's.
        self._folders = {path.parent.resolve(), path.resolve().parent}
        self._found: dict[str, Path] = {}
        self.ranges: dict[str, set[tuple[int, int]]] = {}

    def find(self, location: str) -> Path:
        """Return the path of a file that the model names."""
        if location == HERE:
            return self._path.resolve()
        if location in self._found:
            return self._found[location]
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
            with file.open("rb"):
                pass
        except OSError as error:
            raise ModelError(f"{file} can't be read: {error.strerror}") from None
        self._found[location] = resolved
        return resolved

    def place(self, tensor: Any) -> None:
        """Have a tensor name its place by an absolute path, after looking whether it is there."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if not location:
            raise ModelError(f"{self._path}: tensor {tensor.name!r} names no file for its external data")
        file = self.find(location)
        size = file.stat().st_size
        try:
            start = int(entries.get("offset", 0))
            length = int(entries.get("length", _rest(tensor, size - start)))
        except ValueError:
            raise ModelError(
                f"{self._path}: tensor {tensor.name!r} has a damaged external data entry"
            ) from None
        if start < 0 or length < 0 or start + length > size:
            raise ModelError(
                f"{self._path}: its external data file {location!r} is cut off: tensor {tensor.name!r} "
                f"needs bytes {start} to {start + length} of {size}; copy the file again"
            )
        if not length and math.prod(tensor.dims):
            raise ModelError(
                f"{self._path}: its external data file {location!r} has nothing of tensor {tensor.name!r}, "
                f"which has {math.prod(tensor.dims):,} entries; copy the file again"
            )
        if location != HERE:
            self.ranges.setdefault(location, set()).add((start, start + length))
        _mapped.put_at(tensor, str(file), start, length)

    def digest(self, data: memoryview) -> str:
        """Return the sha256 of the model file's bytes, then of its external files'.

        A file of which the model has the lesser part, as one that several models share, counts with that part
        alone: for a tensor of 4 KB nobody reads 3 GiB.
        """
        found = hashlib.sha256(data)
        for location, ranges in self.ranges.items():
            size = self._found[location].stat().st_size
            used = _joined(ranges)
            if 2 * sum(end - start for start, end in used) >= size:
                used = [(0, size)]
            with self._found[location].open("rb") as file:
                for start, end in used:
                    file.seek(start)
                    while start < end:
                        chunk = file.read(min(_CHUNK, end - start))
                        if not chunk:
                            break
                        found.update(chunk)
                        start += len(chunk)
        return found.hexdigest()


def _rest(tensor: Any, rest: int) -> int:
    """Return how much of the rest of a file is a tensor's that doesn't say it."""
    kind, dims = int(tensor.data_type), list(tensor.dims)
    return min(rest, _mapped.size_of(kind, dims)) if _mapped.is_large(kind, dims) else rest


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges in their order, those that overlap as one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def read_model(path: Path) -> tuple[onnx.ModelProto, str]:
    """Read a model, with its external data inside but for large tensors.

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
    data = _content(path)
    model = _parse(data, path)
    refuse_names_that_are_no_text(model, path)
    files = _DataFiles(path)
    for tensor in _graphs.tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            files.place(tensor)
    digest = files.digest(data)
    _store_constants(model)
    # As long as the list is there, each of them stays one object.
    kept = _stay_outside(model)
    known = {id(tensor) for tensor in kept}
    _mapped.fill(tensor for tensor in _graphs.tensors(model) if id(tensor) not in known)
    return model, digest


def _store_constants(model: onnx.ModelProto) -> None:
    """Turn nodes that only hold a large tensor into initializers, which may lie outside."""
    graph = model.graph
    results = {value.name for value in graph.output}
    moved = []
    for node in graph.node:
        value = node.attribute[0].t if node.op_type == "Constant" and len(node.attribute) == 1 else None
        if value is None or value.data_location != onnx.TensorProto.EXTERNAL:
            continue
        # Before version 4 an initializer is an input as well.
        if (
            model.ir_version >= 4
            and node.output[0] not in results
            and _mapped.is_large(value.data_type, value.dims)
        ):
            stored = graph.initializer.add()
            stored.CopyFrom(value)
            stored.name = node.output[0]
            moved.append(node.output[0])
    if moved:
        gone = set(moved)
        _graphs.replace_nodes(
            graph, (n for n in graph.node if not (n.op_type == "Constant" and n.output[0] in gone))
        )


def _stay_outside(model: onnx.ModelProto) -> list[Any]:
    """Return the tensors that are large, as long as they should be, and read by the main graph alone."""
    inner = _mapped.read_in_nodes(model)
    found = []
    for tensor in model.graph.initializer:
        place = _mapped.place_of(tensor)
        if place is None or tensor.name in inner:
            continue
        kind, dims = int(tensor.data_type), list(tensor.dims)
        if _mapped.is_large(kind, dims) and place[2] == _mapped.size_of(kind, dims):
            found.append(tensor)
    return found
