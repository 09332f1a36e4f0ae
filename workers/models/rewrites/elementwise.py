"""Operators on single elements, and small ones without a converter in TVM."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from workers.models import _graphs
from workers.models.rewrites.edit import Edit

__all__ = ["RULES"]

_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)


def _power(node: Any, edit: Edit) -> list[str] | None:
    """Base and exponent of one type, and floats: ONNX lets them be others, ``relax.power`` doesn't."""
    base, exponent = edit.type(node.input[0]), edit.type(node.input[1])
    if not base or not exponent or (base == exponent and base in _FLOATS):
        return None
    if base in _FLOATS:
        return [edit.emit("Pow", [node.input[0], edit.cast(node.input[1], base)])]
    wide = TensorProto.DOUBLE
    power = edit.emit("Pow", [edit.cast(node.input[0], wide), edit.cast(node.input[1], wide)])
    return [edit.emit("Cast", [power], to=base)]


def _eye(node: Any, edit: Edit) -> list[str] | None:
    """The matrix itself: its sizes are known, and TVM wants the input's type for it."""
    shape = edit.shape(node.input[0])
    if shape is None:
        return None
    dtype = int(_graphs.attribute(node, "dtype", 0)) or edit.type(node.input[0])
    eye = np.eye(shape[0], shape[1], k=int(_graphs.attribute(node, "k", 0)))
    return [edit.store(eye, helper.tensor_dtype_to_np_dtype(dtype))]


def _lp_normalization(node: Any, edit: Edit) -> list[str] | None:
    """Divided by its norm; what is all zero stays so, as in onnxruntime."""
    shape = edit.shape(node.input[0])
    if shape is None:
        return None
    axis = int(_graphs.attribute(node, "axis", -1)) % len(shape)
    operator = "ReduceL1" if int(_graphs.attribute(node, "p", 2)) == 1 else "ReduceL2"
    x = node.input[0]
    if edit.opset >= 18:
        norm = edit.emit(operator, [x, edit.integers([axis])], keepdims=1)
    else:
        norm = edit.emit(operator, [x], axes=[axis], keepdims=1)
    empty = edit.emit("Equal", [norm, edit.like(0, x)])
    return [edit.emit("Div", [x, edit.emit("Where", [empty, edit.like(1, x), norm])])]


def _division(node: Any, edit: Edit) -> list[str] | None:
    """A division by a constant that holds 0 as a product: TVM folds it, and fails on the 0."""
    divisor = edit.constant(node.input[1])
    if divisor is None or divisor.dtype.kind != "f" or (divisor != 0).all():
        return None
    with np.errstate(divide="ignore"):
        inverse = (1.0 / divisor.astype(np.float64)).astype(divisor.dtype)
    return [edit.emit("Mul", [node.input[0], edit.store(inverse)])]


def _reduced_bool(node: Any, edit: Edit) -> list[str] | None:
    """The largest or least of booleans, as integers: TVM's reductions have no booleans."""
    if edit.type(node.input[0]) != TensorProto.BOOL:
        return None
    numbers = edit.emit("Cast", [node.input[0]], to=TensorProto.INT32)
    reduced = edit.emit(node.op_type, [numbers, *node.input[1:]], **_graphs.attributes(node))
    return [edit.emit("Cast", [reduced], to=TensorProto.BOOL)]


RULES = {
    "Pow": _power,
    "EyeLike": _eye,
    "LpNormalization": _lp_normalization,
    "Div": _division,
    "ReduceMax": _reduced_bool,
    "ReduceMin": _reduced_bool,
}
