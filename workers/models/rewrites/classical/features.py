"""Scaler, Normalizer, Binarizer, Imputer, ArrayFeatureExtractor, FeatureVectorizer."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.classical.table import Left, Table, floats, text

__all__ = ["RULES"]

_MATRIX = 2


def _scaler(node: Any, edit: Table) -> list[str]:
    """In double where the input is, and float32 after."""
    x, scale, offset = node.input[0], floats(node, "scale"), floats(node, "offset")
    dims = edit.dims(x)
    if scale.size > 1 and dims is not None and len(dims) > _MATRIX:
        raise Left("scales a tensor of more than two dimensions by its second")
    dtype: type[np.floating[Any]] = np.float64 if edit.type(x) == TensorProto.DOUBLE else np.float32
    value = x if dtype is np.float64 else edit.floats(x)
    moved = edit.emit("Sub", [value, edit.store(offset.astype(dtype))])
    return [edit.floats(edit.emit("Mul", [moved, edit.store(scale.astype(dtype))]))]


def _normalizer(node: Any, edit: Table) -> list[str]:
    x, norm = node.input[0], text(node, "norm", "MAX")
    dims = edit.dims(x)
    axis = 0 if dims is not None and len(dims) == 1 else 1
    value = edit.floats(x)
    zero, one = edit.store(np.float32(0)), edit.store(np.float32(1))
    if norm == "L2":
        # Squares, and then the roots of their shares: what is tiny becomes 0.
        square = edit.floats(edit.emit("Mul", [x, x]))
        total = edit.reduce("ReduceSum", square, axis, keep=True)
        part = edit.emit("Sqrt", [edit.emit("Div", [square, _not_zero(edit, total, one)])])
        negative = edit.emit("Less", [value, zero])
        part = edit.picked(negative, edit.emit("Neg", [part]), part)
        return [edit.picked(edit.emit("Greater", [total, zero]), part, value)]
    if norm == "L1":
        total = edit.reduce("ReduceSum", edit.emit("Abs", [value]), axis, keep=True)
    else:
        total = edit.reduce("ReduceMax", value, axis, keep=True)
    return [edit.emit("Div", [value, _not_zero(edit, total, one)])]


def _not_zero(edit: Table, name: str, other: str) -> str:
    apart = edit.emit("Greater", [edit.emit("Abs", [name]), edit.store(np.float32(0))])
    return edit.picked(apart, name, other)


def _binarizer(node: Any, edit: Table) -> list[str]:
    threshold = edit.like(_graphs.attribute(node, "threshold", 0.0), node.input[0])
    above = edit.emit("Greater", [node.input[0], threshold])
    return [edit.emit("Cast", [above], to=edit.type(node.input[0]))]


def _imputer(node: Any, edit: Table) -> list[str]:
    x = node.input[0]
    dims = edit.dims(x)
    kind = "float" if edit.type(x) == TensorProto.FLOAT else "int64"
    values = np.asarray(_graphs.attribute(node, f"imputed_value_{kind}s") or [])
    if not values.size:
        raise Left("has no values for the type of its input")
    columns = None if dims is None else dims[-1]
    if values.size > 1 and columns is not None and columns != values.size:
        values = values[:1]
    replaced = _graphs.attribute(node, f"replaced_value_{kind}", 0)
    missing = (
        edit.emit("IsNaN", [x]) if np.isnan(replaced) else edit.emit("Equal", [x, edit.like(replaced, x)])
    )
    return [edit.picked(missing, edit.like(values, x), x)]


def _array_feature_extractor(node: Any, edit: Table) -> list[str]:
    dims = edit.dims(node.input[0])
    if dims is None:
        raise Left("takes entries of a tensor of an unknown number of dimensions")
    rank = len(dims)
    places = edit.reshape(node.input[1], [1, -1] if rank == 1 else [-1])
    return [edit.emit("Gather", [node.input[0], places], axis=max(rank - 1, 0))]


def _feature_vectorizer(node: Any, edit: Table) -> list[str]:
    parts = []
    for name, size in zip(node.input, _graphs.attribute(node, "inputdimensions"), strict=True):
        dims = edit.dims(name)
        value = edit.floats(name)
        if dims is None:
            raise Left("joins tensors of an unknown number of dimensions")
        if len(dims) != _MATRIX:
            value = edit.emit("Flatten", [value], axis=0 if len(dims) == 1 else 1)
        columns = None if None in dims[1:] else int(np.prod([d or 0 for d in dims[1:] or dims]))
        if columns is None or columns < size:
            # Filled up with zeros: so many that there are enough in any case.
            value = _with_zeros(edit, value, int(size - (columns or 0)))
        if columns != size:
            value = edit.slice(value, [0], [size], [1])
        parts.append(value)
    return [edit.beside(parts)]


def _with_zeros(edit: Table, value: str, count: int) -> str:
    return str(edit.emit("Pad", [value, edit.integers([0, 0, 0, count])]))


RULES = {
    "ArrayFeatureExtractor": _array_feature_extractor,
    "Binarizer": _binarizer,
    "FeatureVectorizer": _feature_vectorizer,
    "Imputer": _imputer,
    "Normalizer": _normalizer,
    "Scaler": _scaler,
}
