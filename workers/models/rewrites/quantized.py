"""Quantized operators, by what they mean: integers less their zero point, times a scale.

The operators of ONNX's quantized operator form become DequantizeLinear, the operator in floats, and
QuantizeLinear, which is their definition up to one rounding. A product of integers is computed in integers:
what it sums may be more than a float32 holds (2^24), 519 products of bytes. So is ConvInteger, which has no
other standard form; it stays, for an engine to read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.edit import Edit
from workers.models.rewrites.steps import convolved, dequantized, quantized, rounded

__all__ = ["RULES"]


# What an engine's frontend reads as it is, and folds itself: in one form an engine of integers finds them.
_WHOLE = (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32, TensorProto.INT16, TensorProto.UINT16)
_SMALL = (TensorProto.INT4, TensorProto.UINT4, TensorProto.INT2, TensorProto.UINT2)


def _spread(edit: Edit, name: str, axis: int, block: int, size: int) -> str:
    """Return what is given for blocks of an axis for each of its places."""
    places = np.arange(size, dtype=np.int64) // block
    values = edit.constant(name)
    if values is not None:
        whole = values.astype(np.int8) if edit.type(name) in _SMALL else values
        return edit.store(np.take(whole, places, axis=axis))
    return edit.gather(name, places, axis)


def _dequantize(node: Any, edit: Edit) -> list[str] | None:
    """What TVM's frontend has no form of: blocks, less than a byte, and results that aren't float32.

    Weights in blocks, as 4 bits are, become the numbers that they stand for: that is eight times their size,
    and what is fastest for one row is to multiply with them as they are. But a kernel that does has to be
    tuned with them, and all layouts and schedules here are of float32. Bytes for each channel or for all stay
    bytes until the engine folds them, so that it may as well compute with them.
    """
    x, scale, zero = node.input[0], node.input[1], edit.input(node, 2)
    block = int(_graphs.attribute(node, "block_size", 0))
    axis = int(_graphs.attribute(node, "axis", 1))
    maker = edit.maker(x)
    if edit.type(x) in _SMALL and maker is not None and maker.op_type == "QuantizeLinear":
        return _rounded(node, maker, edit)
    single = edit.type(scale) == TensorProto.FLOAT
    if not block and edit.type(x) in _WHOLE and (single or edit.constant(x) is None):
        return None if zero else [dequantized(edit, x, scale, zero, axis)]
    shape = edit.shape(x)
    if shape is None:
        return None
    values = [edit.constant(name) if name else None for name in (x, scale, zero)]
    if values[0] is not None and values[1] is not None and (values[2] is not None or not zero):
        return [edit.store(_stood_for(values, axis, block))]
    if block:
        size = shape[axis]
        scale = _spread(edit, scale, axis, block, size)
        zero = _spread(edit, zero, axis, block, size) if zero else ""
    return [dequantized(edit, x, scale, zero, axis)]


def _stood_for(values: list[Any], axis: int, block: int) -> npt.NDArray[Any]:
    """Compute constants as the numbers that they stand for."""
    x, scale = values[0].astype(np.float32), values[1].astype(np.float32)
    zero = np.zeros_like(scale) if values[2] is None else values[2].astype(np.float32)
    if block:
        places = np.arange(x.shape[axis]) // block
        scale, zero = (np.take(one, places, axis=axis) for one in (scale, zero))
    elif scale.ndim == 1 and x.ndim:
        dims = [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]
        scale, zero = scale.reshape(dims), zero.reshape(dims)
    made: npt.NDArray[Any] = ((x - zero) * scale).astype(values[1].dtype)
    return made


def _quantize(node: Any, edit: Edit) -> list[str] | None:
    """Blocks, and halves: onnxruntime divides these in single precision."""
    x, scale, zero = node.input[0], node.input[1], edit.input(node, 2)
    block = int(_graphs.attribute(node, "block_size", 0))
    axis = int(_graphs.attribute(node, "axis", 1))
    half = edit.type(x) == TensorProto.FLOAT16
    dtype = int(_graphs.attribute(node, "output_dtype", 0)) or (edit.type(zero) if zero else 0)
    dtype = dtype or TensorProto.UINT8
    shape = edit.shape(x)
    if dtype in _SMALL or shape is None or not (block or half):
        return None
    if block:
        size = shape[axis]
        scale = _spread(edit, scale, axis, block, size)
        zero = _spread(edit, zero, axis, block, size) if zero else ""
    if half:
        x, scale = (edit.emit("Cast", [name], to=TensorProto.FLOAT) for name in (x, scale))
    return [quantized(edit, x, scale, zero, axis, len(shape), dtype)]


def _rounded(node: Any, maker: Any, edit: Edit) -> list[str] | None:
    """Numbers rounded to 2 or 4 bits and back at once: no tensor of those is left."""
    if list(node.input[1:]) != list(maker.input[1:]):
        return None
    x, scale, zero = maker.input[0], maker.input[1], edit.input(maker, 2)
    axis, shape = int(_graphs.attribute(maker, "axis", 1)), edit.shape(x)
    block = int(_graphs.attribute(maker, "block_size", 0))
    if shape is None:
        return None
    if block:
        scale = _spread(edit, scale, axis, block, shape[axis])
        zero = _spread(edit, zero, axis, block, shape[axis]) if zero else ""
    # Bytes hold them; the limits are those of the type.
    return [rounded(edit, x, scale, zero, axis, edit.type(maker.output[0]))]


def _convolution(node: Any, edit: Edit) -> list[str] | None:
    x, xs, xz, w, ws, wz, ys, yz = node.input[:8]
    return [convolved(node, edit, (x, xs, xz), (w, ws, wz), (ys, yz), edit.input(node, 8))]


def _product(node: Any, edit: Edit) -> list[str] | None:
    a, as_, az, b, bs, bz, ys, yz = node.input[:8]
    left = dequantized(edit, a, as_, az, axis=-2)
    right = dequantized(edit, b, bs, bz, axis=-1)
    return [quantized(edit, edit.emit("MatMul", [left, right]), ys, yz, axis=-2)]


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
    point = edit.emit("Cast", [point], to=TensorProto.UINT8)
    return [edit.emit("QuantizeLinear", [x, scale, point]), scale, point]


RULES = {
    "DequantizeLinear": _dequantize,
    "QuantizeLinear": _quantize,
    "QLinearConv": _convolution,
    "QLinearMatMul": _product,
    "MatMulInteger": _integer_product,
    "DynamicQuantizeLinear": _dynamic,
}
