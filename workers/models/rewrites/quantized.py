"""Quantized operators, by what they mean: integers less their zero point, times a scale.

An integer product is computed in integers; the operators of ONNX's quantized operator form become
DequantizeLinear, the operator in floats, and QuantizeLinear, which is their definition up to one rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.edit import Edit

__all__ = ["RULES"]


def _per_axis(values: npt.NDArray[Any], rank: int, axis: int) -> npt.NDArray[Any]:
    if values.ndim != 1:
        return values
    return values.reshape([-1 if i == axis % rank else 1 for i in range(rank)])


def _dequantized_weights(node: Any, edit: Edit) -> list[str] | None:
    """Constant weights as the numbers that they stand for, blocks of them included."""
    x, scale = edit.constant(node.input[0]), edit.constant(node.input[1])
    zero = edit.constant(edit.input(node, 2))
    if x is None or scale is None or (edit.input(node, 2) and zero is None):
        return None
    axis = int(_graphs.attribute(node, "axis", 1))
    block = int(_graphs.attribute(node, "block_size", 0))
    numbers = x.astype(np.float32)
    if zero is None:
        zero = np.zeros_like(scale, np.float32)
    scale32, zero32 = scale.astype(np.float32), zero.astype(np.float32)
    if block:
        size = x.shape[axis]
        scale32 = np.repeat(scale32, block, axis=axis).take(range(size), axis=axis)
        zero32 = np.repeat(zero32, block, axis=axis).take(range(size), axis=axis)
    else:
        scale32, zero32 = (_per_axis(v, max(x.ndim, 1), axis) for v in (scale32, zero32))
    return [edit.store(((numbers - zero32) * scale32).astype(scale.dtype))]


def _dequantized(edit: Edit, name: str, scale: str, zero: str, axis: int = 1) -> str:
    inputs = [name, scale, *([zero] if zero else [])]
    scalar = edit.shape(scale) in ((), (1,))
    return str(edit.emit("DequantizeLinear", inputs, **({} if scalar else {"axis": axis})))


def _quantized(edit: Edit, name: str, scale: str, zero: str) -> str:
    return str(edit.emit("QuantizeLinear", [name, scale, *([zero] if zero else [])]))


def _scalar(edit: Edit, name: str) -> str:
    """Scales of one entry as scalars, which some exporters write as lists."""
    values = edit.constant(name)
    return edit.store(values.reshape(())) if values is not None and values.shape == (1,) else name


def _convolution(node: Any, edit: Edit) -> list[str] | None:
    x, xs, xz, w, ws, wz, ys, yz = (_scalar(edit, name) if i not in (0, 3) else name
                                    for i, name in enumerate(node.input[:8]))  # fmt: skip
    inputs = [_dequantized(edit, x, xs, xz), _dequantized(edit, w, ws, wz, axis=0)]
    if edit.input(node, 8):
        # Its scale is the product of both, its zero point 0.
        bias = edit.cast(node.input[8], TensorProto.FLOAT)
        inputs.append(edit.emit("Mul", [bias, edit.emit("Mul", [xs, ws])]))
    return [_quantized(edit, edit.emit("Conv", inputs, **_graphs.attributes(node)), ys, yz)]


def _product(node: Any, edit: Edit) -> list[str] | None:
    a, as_, az, b, bs, bz, ys, yz = node.input[:8]
    rank = len(edit.shape(b) or ()) or 2
    left = _dequantized(edit, a, _scalar(edit, as_), _scalar(edit, az))
    right = _dequantized(edit, b, _scalar(edit, bs), _scalar(edit, bz), axis=rank - 1)
    return [_quantized(edit, edit.emit("MatMul", [left, right]), _scalar(edit, ys), _scalar(edit, yz))]


def _less_zero(edit: Edit, name: str, zero: str, axis: int | None = None) -> str:
    number = edit.emit("Cast", [name], to=TensorProto.INT32)
    values = edit.constant(zero)
    if not zero or (values is not None and not values.any()):
        return str(number)
    wide = edit.cast(zero, TensorProto.INT32)
    shape, rank = edit.shape(zero), len(edit.shape(name) or ())
    if axis is not None and shape is not None and len(shape) == 1 and shape[0] > 1:
        wide = edit.reshape(wide, [-1 if i == axis % rank else 1 for i in range(rank)])
    return str(edit.emit("Sub", [number, wide]))


def _integer_product(node: Any, edit: Edit) -> list[str] | None:
    left = _less_zero(edit, node.input[0], edit.input(node, 2), axis=-2)
    right = _less_zero(edit, node.input[1], edit.input(node, 3), axis=-1)
    return [edit.emit("MatMul", [left, right])]


def _integer_convolution(node: Any, edit: Edit) -> list[str] | None:
    """In double precision, which holds every sum of 32-bit integers: ONNX's Conv has floats only."""
    left = _less_zero(edit, node.input[0], edit.input(node, 2))
    right = _less_zero(edit, node.input[1], edit.input(node, 3), axis=0)
    floats = [edit.emit("Cast", [name], to=TensorProto.FLOAT) for name in (left, right)]
    return [edit.emit("Cast", [edit.emit("Conv", floats, **_graphs.attributes(node))], to=TensorProto.INT32)]


def _dynamic(node: Any, edit: Edit) -> list[str] | None:
    """DynamicQuantizeLinear's definition: the scale from the least and the largest, 0 among them."""
    x, zero = node.input[0], edit.store(np.float32(0))
    low = edit.emit("Min", [edit.emit("ReduceMin", [x], keepdims=0), zero])
    high = edit.emit("Max", [edit.emit("ReduceMax", [x], keepdims=0), zero])
    scale = edit.emit("Div", [edit.emit("Sub", [high, low]), edit.store(np.float32(255))])
    empty = edit.emit("Equal", [scale, zero])
    scale = edit.emit("Where", [empty, edit.store(np.float32(1)), scale])
    place = edit.emit("Round", [edit.emit("Div", [edit.emit("Sub", [zero, low]), scale])])
    most = edit.store(np.float32(255))
    point = edit.emit("Min", [edit.emit("Max", [place, zero]), most])
    steps = edit.emit("Add", [edit.emit("Round", [edit.emit("Div", [x, scale])]), point])
    steps = edit.emit("Min", [edit.emit("Max", [steps, zero]), most])
    byte = TensorProto.UINT8
    return [edit.emit("Cast", [steps], to=byte), scale, edit.emit("Cast", [point], to=byte)]


RULES = {
    "DequantizeLinear": _dequantized_weights,
    "QLinearConv": _convolution,
    "QLinearMatMul": _product,
    "MatMulInteger": _integer_product,
    "ConvInteger": _integer_convolution,
    "DynamicQuantizeLinear": _dynamic,
}
