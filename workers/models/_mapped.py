"""Large tensors of a model while it is worked on: outside of it, in files that are mapped.

Whatever is done to a model copies it several times over, and a message ends at 2 GiB. So its large tensors
name their place (see :mod:`workers.enginekit.weights`), from reading the file to the prepared model, and only
who needs their values maps them. What new ones are made goes into a :class:`Store`.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from workers.enginekit.weights import fill, mapped, place_of, put_at
from workers.models import _graphs

__all__ = [
    "LARGE",
    "Store",
    "array",
    "fill",
    "is_large",
    "mapped",
    "outside",
    "place_of",
    "put_at",
    "put_outside",
    "read_in_nodes",
    "size_of",
    "with_weights_as_inputs",
    "with_weights_back",
    "write_aligned",
]

#: Bytes from which a tensor is large. Below, a model of thousands of them is a message of some MB.
LARGE = 16 * 1024
# One axis means a bias, a scale, a shape: small, and what the tools here look at the values of.
_LARGE_WITH_ONE_AXIS = 1024 * 1024
# Shapes, axes and conditions are never of these.
_KINDS = {
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.INT8,
    onnx.TensorProto.UINT8,
}
# As onnx's own writer aligns what it puts outside, less than a page.
_ALIGNED = 64


def size_of(kind: int, dims: Sequence[int]) -> int:
    """Return the bytes of a tensor of an element type that is :func:`is_large`."""
    return math.prod(dims) * int(helper.tensor_dtype_to_np_dtype(kind).itemsize)


def is_large(kind: int, dims: Sequence[int]) -> bool:
    """Say whether a tensor is one that lies outside of its model."""
    if kind not in _KINDS:
        return False
    return size_of(kind, dims) >= (LARGE if len(dims) > 1 else _LARGE_WITH_ONE_AXIS)


def outside(model: onnx.ModelProto) -> Iterator[Any]:
    """Yield the tensors of a model that name the place of their data."""
    return (tensor for tensor in model.graph.initializer if place_of(tensor) is not None)


def array(tensor: Any) -> npt.NDArray[Any]:
    """Return the values of a tensor wherever they are; those that are mapped can't be written to."""
    if place_of(tensor) is None:
        return np.asarray(numpy_helper.to_array(tensor))
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return np.frombuffer(mapped(tensor), dtype.newbyteorder("<")).reshape(tuple(tensor.dims))


def with_weights_as_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy for tools that look at external data: there large tensors are inputs of the graph."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    graph = copied.graph
    listed = {value.name for value in graph.input}
    kept = []
    for tensor in graph.initializer:
        if place_of(tensor) is None:
            kept.append(tensor)
        elif tensor.name not in listed:
            value = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            graph.input.append(value)
    kept = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return copied


def read_in_nodes(model: onnx.ModelProto) -> set[str]:
    """Return what graphs inside nodes read, and the model's outputs: tensors of these names stay inside."""
    names = {value.name for value in model.graph.output}
    for graph in list(_graphs.graphs(model))[1:]:
        names |= {name for node in graph.node for name in node.input}
        names |= {value.name for value in graph.output}
    return names


def put_outside(model: onnx.ModelProto, store: Store) -> None:
    """Move the large tensors of a model into a store, in place, but for those that graphs in nodes read."""
    inner = read_in_nodes(model)
    for tensor in model.graph.initializer:
        if tensor.name in inner:
            continue
        if is_large(tensor.data_type, tensor.dims) and place_of(tensor) is None:
            tensor.CopyFrom(store.put(array(tensor), tensor.name))


def with_weights_back(changed: onnx.ModelProto, model: onnx.ModelProto) -> None:
    """Undo, in place, what :func:`with_weights_as_inputs` did to `model` before a tool changed it."""
    away = {tensor.name: tensor for tensor in outside(model)}
    graph = changed.graph
    order = {tensor.name: place for place, tensor in enumerate(model.graph.initializer)}
    stored = [onnx.TensorProto.FromString(one.SerializeToString()) for one in graph.initializer]
    stored = sorted([*stored, *away.values()], key=lambda tensor: order.get(tensor.name, len(order)))
    inputs = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in graph.input]
    del graph.initializer[:]
    graph.initializer.extend(stored)
    del graph.input[:]
    graph.input.extend(value for value in inputs if value.name not in away)


class Store:
    """Where new large tensors go while a model is prepared: a file that goes with its end.

    Parameters
    ----------
    folder : path, optional
        To put it in; by default the system's for temporary files.

    Attributes
    ----------
    kept_in : path or None
        That folder, where one was given: it is there after the store has gone.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.kept_in = folder
        self._folder = tempfile.TemporaryDirectory(prefix="tunefleet-", dir=folder)
        self._path = Path(self._folder.name) / "weights"
        self._file: BinaryIO = self._path.open("wb")

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._folder.cleanup()

    def put(self, values: npt.NDArray[Any], name: str) -> onnx.TensorProto:
        """Write values down; return a tensor that names their place."""
        tensor = onnx.TensorProto(name=name, dims=values.shape)
        tensor.data_type = helper.np_dtype_to_tensor_dtype(values.dtype)
        offset = write_aligned(self._file, np.ascontiguousarray(values).data.cast("B"))
        self._file.flush()
        put_at(tensor, str(self._path), offset, values.nbytes)
        return tensor


def write_aligned(file: BinaryIO, data: memoryview) -> int:
    """Append data to a file; return its offset."""
    offset = file.tell()
    file.write(b"\0" * (-offset % _ALIGNED))
    offset = file.tell()
    file.write(data)
    return offset
