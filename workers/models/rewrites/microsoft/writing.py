"""What rules often write, in the form that the model's opset has for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from workers.errors import ModelError
from workers.models import _graphs
from workers.models.rewrites.edit import Edit

__all__ = [
    "ROW_END",
    "add",
    "as_type",
    "first_type",
    "mean",
    "number",
    "part",
    "refusal",
    "total",
    "unsqueezed",
    "wide",
]

#: An end that every axis reaches.
ROW_END = 2**63 - 1

# From these opsets on, axes are inputs instead of attributes.
_SUM_CHANGED, _MEAN_CHANGED, _SLICE_CHANGED = 13, 18, 10


def refusal(node: Any, reason: str) -> ModelError:
    """Return an error that names the node."""
    return ModelError(f"{node.op_type} of domain '{node.domain}' (node {_graphs.title(node)}): {reason}")


def first_type(node: Any, edit: Edit, *places: int) -> int:
    """Return the element type of a node's inputs at some places, which is one; 0 where none is known."""
    return next((found for i in places if (found := edit.type(edit.input(node, i)))), 0)


def number(edit: Edit, value: float, dtype: int) -> str:
    """Add a single number of an element type."""
    return edit.store(np.asarray(value), helper.tensor_dtype_to_np_dtype(dtype))


def as_type(edit: Edit, name: str, dtype: int, to: int) -> str:
    """Return a value of one element type as another."""
    return name if dtype == to else str(edit.emit("Cast", [name], to=to))


def wide(dtype: int) -> int:
    """Return the element type to compute in: halves are computed in single precision, as onnxruntime does."""
    return TensorProto.FLOAT if dtype in (TensorProto.FLOAT16, TensorProto.BFLOAT16) else dtype


def add(edit: Edit, *names: str) -> str:
    """Return the sum of the values that are given; an empty name is none."""
    given = [name for name in names if name]
    result = given[0]
    for name in given[1:]:
        result = str(edit.emit("Add", [result, name]))
    return result


def part(edit: Edit, name: str, axis: int, start: int, end: int, step: int = 1) -> str:
    """Return a part of a value along one axis."""
    if edit.opset < _SLICE_CHANGED:
        if step != 1:
            raise ModelError("steps of a Slice need opset 10; export the model with a later one")
        return str(edit.emit("Slice", [name], axes=[axis], starts=[start], ends=[end]))
    limits = [edit.integers([value]) for value in (start, end, axis, step)]
    return str(edit.emit("Slice", [name, *limits]))


def unsqueezed(edit: Edit, name: str, axis: int) -> str:
    """Return a value with one more axis, of size 1."""
    if edit.opset >= _SUM_CHANGED:
        return str(edit.emit("Unsqueeze", [name, edit.integers([axis])]))
    return str(edit.emit("Unsqueeze", [name], axes=[axis]))


def mean(edit: Edit, name: str, axes: Sequence[int]) -> str:
    """Return the means along some axes, which are kept."""
    if edit.opset >= _MEAN_CHANGED:
        return str(edit.emit("ReduceMean", [name, edit.integers(axes)], keepdims=1))
    return str(edit.emit("ReduceMean", [name], axes=list(axes), keepdims=1))


def total(edit: Edit, name: str, axis: int) -> str:
    """Return the sums along an axis, which goes."""
    if edit.opset >= _SUM_CHANGED:
        return str(edit.emit("ReduceSum", [name, edit.integers([axis])], keepdims=0))
    return str(edit.emit("ReduceSum", [name], axes=[axis], keepdims=0))
