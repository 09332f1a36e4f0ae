"""LabelEncoder, CategoryMapper and OneHotEncoder: numbers for numbers, and words for numbers.

Words as an input stay with onnxruntime.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, numpy_helper

from workers.models import _graphs
from workers.models.rewrites.classical.table import Left, Table, text, texts

__all__ = ["RULES"]

# In a table of all integers between the least and the largest key, at most so many for each key.
_SPARSE = 8
_FEW = 64
# Of ai.onnx.ml; from then on a NaN is found among the keys.
_FINDS_NAN = 4
_KINDS = {"float": np.float32, "int64": np.int64, "string": object}


def _label_encoder(node: Any, edit: Table) -> list[str] | None:
    if _graphs.attribute(node, "classes_strings") is not None:
        return _numbered(node, edit, texts(node, "classes_strings"))
    keys, values = _entries(node, "keys"), _entries(node, "values")
    if keys is None or values is None or keys.dtype == object:
        return None
    default = _default(node, values.dtype)
    # The first of several equal keys counts.
    _, first = np.unique(keys, return_index=True)
    order = np.sort(first)
    return [_looked_up(edit, node.input[0], keys[order], values[order], default)]


def _category_mapper(node: Any, edit: Table) -> list[str] | None:
    if edit.type(node.input[0]) != TensorProto.INT64:
        return None
    keys = np.asarray(_graphs.attribute(node, "cats_int64s") or [], np.int64)
    values = np.asarray(texts(node, "cats_strings"), object)
    default = np.asarray(text(node, "default_string", "_Unused"), object)
    # The last of several equal keys counts.
    _, last = np.unique(keys[::-1], return_index=True)
    order = np.sort(keys.size - 1 - last)
    return [_looked_up(edit, node.input[0], keys[order], values[order], default)]


def _numbered(node: Any, edit: Table, classes: list[str]) -> list[str] | None:
    """Words by their places, as the first version had them."""
    if edit.type(node.input[0]) != TensorProto.INT64:
        return None
    keys = np.arange(len(classes))
    default = np.asarray(text(node, "default_string", "_Unused"), object)
    return [_looked_up(edit, node.input[0], keys, np.asarray(classes, object), default)]


def _entries(node: Any, which: str) -> npt.NDArray[Any] | None:
    for kind, dtype in _KINDS.items():
        found = _graphs.attribute(node, f"{which}_{kind}s")
        if found is not None:
            return np.asarray([v.decode() for v in found] if kind == "string" else found, dtype)
    tensor = _graphs.attribute(node, f"{which}_tensor")
    if tensor is None:
        return None
    return _decoded(numpy_helper.to_array(tensor)).ravel()


def _decoded(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if values.dtype.kind not in "OSU":
        return values
    flat = [v.decode() if isinstance(v, bytes) else str(v) for v in values.ravel()]
    return np.asarray(flat, object).reshape(values.shape)


def _default(node: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    tensor = _graphs.attribute(node, "default_tensor")
    if tensor is not None and tensor.data_type:
        return np.asarray(_decoded(numpy_helper.to_array(tensor)).ravel()[0])
    kind = np.dtype(dtype).kind
    if kind == "O":
        return np.asarray(text(node, "default_string", "_Unused"), object)
    if kind == "f":
        return np.asarray(_graphs.attribute(node, "default_float", -0.0), dtype)
    return np.asarray(_graphs.attribute(node, "default_int64", -1), dtype)


def _looked_up(
    edit: Table, x: str, keys: npt.NDArray[Any], values: npt.NDArray[Any], default: npt.NDArray[Any]
) -> str:
    """Return the value of each key; the default, last in the table, elsewhere."""
    if not keys.size:
        raise Left("has no keys")
    whole = keys.dtype.kind in "iu"
    span = int(keys.max()) - int(keys.min()) + 1 if whole else 0
    if whole and span <= max(_FEW, _SPARSE * keys.size):
        least = int(keys.min())
        table = np.full(span + 1, default, values.dtype)
        table[keys - least] = values
        # Beyond either end first, so that no difference overflows.
        known = edit.emit(
            "And",
            [
                edit.emit("Greater", [x, edit.like(least - 1, x)]),
                edit.emit("Less", [x, edit.like(least + span, x)]),
            ],
        )
        inside = edit.picked(known, x, edit.like(least + span, x))
        place = edit.emit("Sub", [inside, edit.like(least, x)])
    else:
        table = np.append(values, default).astype(values.dtype)
        column = edit.column(x)
        equal = edit.emit("Equal", [column, edit.store(keys, keys.dtype)])
        if keys.dtype.kind == "f" and np.isnan(keys).any() and edit.version >= _FINDS_NAN:
            nan = edit.emit("And", [edit.emit("IsNaN", [column]), edit.store(np.isnan(keys))])
            equal = edit.emit("Or", [equal, nan])
        hits = edit.emit("Cast", [equal], to=TensorProto.FLOAT)
        found = edit.emit("ArgMax", [hits], axis=-1, keepdims=0)
        largest = edit.reduce("ReduceMax", hits, -1, keep=False)
        hit = edit.emit("Greater", [largest, edit.store(np.float32(0))])
        place = edit.picked(hit, found, edit.store(np.int64(keys.size)))
    return str(edit.emit("Gather", [edit.store(table), place], axis=0))


def _one_hot_encoder(node: Any, edit: Table) -> list[str] | None:
    categories = _graphs.attribute(node, "cats_int64s")
    if not categories:
        return None
    keys = np.asarray(categories, np.int64)
    # The last of several equal categories is set.
    last = np.asarray([key not in keys[place + 1 :] for place, key in enumerate(keys)])
    x = edit.cast(node.input[0], TensorProto.INT64)
    equal = edit.emit("Equal", [edit.column(x), edit.store(keys)])
    if not last.all():
        equal = edit.emit("And", [equal, edit.store(last)])
    return [edit.emit("Cast", [equal], to=TensorProto.FLOAT)]


RULES = {
    "CategoryMapper": _category_mapper,
    "LabelEncoder": _label_encoder,
    "OneHotEncoder": _one_hot_encoder,
}
