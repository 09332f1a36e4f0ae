"""Numbers in steps of a scale, and back: the one form in which quantized models come to an engine.

Whatever a tool wrote, what reaches an engine is DequantizeLinear, an operator in floats, and QuantizeLinear.
An engine that computes with integers finds its layers by that; one that doesn't computes what is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from workers.models import _graphs
from workers.models.rewrites.edit import Edit

__all__ = ["as_scalar", "convolved", "dequantized", "product", "quantized", "rounded", "stored_whole"]

# The opset from which DequantizeLinear has an axis, and those from which both take scales of halves, and more
# than bytes.
_AXIS_SINCE, _HALVES_SINCE, _TYPES_SINCE = 13, 19, 21
_BYTES = (TensorProto.INT8, TensorProto.UINT8)
_LIMITS = {
    TensorProto.INT8: (-128, 127),
    TensorProto.UINT8: (0, 255),
    TensorProto.INT16: (-(2**15), 2**15 - 1),
    TensorProto.UINT16: (0, 2**16 - 1),
    TensorProto.INT4: (-8, 7),
    TensorProto.UINT4: (0, 15),
    TensorProto.INT2: (-2, 1),
    TensorProto.UINT2: (0, 3),
}


def as_scalar(edit: Edit, name: str) -> str:
    """Return a scale or zero point of one entry as a scalar, which some exporters write as a list."""
    shape = edit.shape(name) if name else ()
    if not shape or any(size != 1 for size in shape):
        return name
    values = edit.constant(name)
    return edit.store(values.reshape(())) if values is not None else edit.reshape(name, [])


def stored_whole(edit: Edit, name: str) -> str:
    """Return a value of less than a byte, where it is a constant, as bytes; anything else as it is."""
    if edit.type(name) not in (TensorProto.INT4, TensorProto.UINT4, TensorProto.INT2, TensorProto.UINT2):
        return name
    values = edit.constant(name)
    return name if values is None else edit.store(values.astype(np.int8))


def _along(edit: Edit, name: str, axis: int, rank: int) -> str:
    """Return numbers for the places of one axis so that they meet all others."""
    shape = edit.shape(name)
    if not shape or len(shape) != 1 or rank < 2:
        return name
    return edit.reshape(name, [-1 if i == axis % rank else 1 for i in range(rank)])


def _with_zero(edit: Edit, scale: str, zero: str) -> str:
    """Return one zero point as one for each scale, as DequantizeLinear has it."""
    shape, values = edit.shape(scale), edit.constant(zero) if zero else None
    if not shape or values is None or values.shape == shape or values.size != 1:
        return zero
    return edit.store(np.full(shape, values.reshape(()), values.dtype))


def _single(edit: Edit, scale: str) -> str:
    """Return a scale in single precision, where the model's opset has none of half."""
    if edit.type(scale) != TensorProto.FLOAT16 or edit.opset >= _HALVES_SINCE:
        return scale
    values = edit.constant(scale)
    return edit.cast(scale, TensorProto.FLOAT) if values is None else edit.store(values, np.float32)


def _fits(edit: Edit, dtype: int, scale: str, rank: int | None, axis: int) -> bool:
    """Say whether the standard's operators take such a type and scale at the model's opset."""
    shape = edit.shape(scale)
    if shape is None or len(shape) > 1 or (shape and edit.opset < _AXIS_SINCE):
        return False
    if shape and axis < 0 and rank is None:
        return False
    wide = {TensorProto.INT16, TensorProto.UINT16}
    return dtype in _BYTES or (edit.opset >= _TYPES_SINCE and dtype in wide)


def dequantized(
    edit: Edit, name: str, scale: str, zero: str, axis: int = 1, rank: int | None = None, dtype: int = 0
) -> str:
    """Return whole numbers as what they stand for.

    Parameters
    ----------
    scale, zero : str
        Of one entry, one for each place of `axis`, or of a shape that meets `name`'s; no name for a zero
        point of 0.
    axis : int
    rank, dtype : int, optional
        Of `name`, where the graph doesn't say them.
    """
    name, zero = stored_whole(edit, name), stored_whole(edit, zero) if zero else ""
    shape = edit.shape(name)
    rank = len(shape) if shape is not None else rank
    dtype = edit.type(name) or dtype or (edit.type(zero) if zero else 0)
    single = _single(edit, scale)
    if single != scale:
        made = dequantized(edit, name, single, zero, axis, rank, dtype)
        return edit.cast(made, TensorProto.FLOAT16)
    scale, zero = as_scalar(edit, scale), as_scalar(edit, zero) if zero else ""
    zero = _with_zero(edit, scale, zero)
    # A bias has 32 bits, which DequantizeLinear takes at any opset.
    if _fits(edit, TensorProto.INT8 if dtype == TensorProto.INT32 else dtype, scale, rank, axis):
        if not zero and dtype:
            # One form: who reads it finds a zero point in any case, and classic TVM asks for one.
            zero = edit.store(np.zeros(edit.shape(scale) or (), helper.tensor_dtype_to_np_dtype(dtype)))
        inputs = [name, scale, *([zero] if zero else [])]
        places = {} if edit.shape(scale) == () else {"axis": axis % rank if rank else axis}
        return str(edit.emit("DequantizeLinear", inputs, **places))
    number = edit.emit("Cast", [name], to=TensorProto.INT32)
    if zero:
        wide = edit.emit("Cast", [_along(edit, zero, axis, rank or 0)], to=TensorProto.INT32)
        number = edit.emit("Sub", [number, wide])
    number = edit.emit("Cast", [number], to=edit.type(scale) or TensorProto.FLOAT)
    return str(edit.emit("Mul", [number, _along(edit, scale, axis, rank or 0)]))


def quantized(
    edit: Edit, name: str, scale: str, zero: str, axis: int = 1, rank: int | None = None, dtype: int = 0
) -> str:
    """Return numbers in steps of a scale, rounded to even; see :func:`dequantized`.

    Parameters
    ----------
    dtype : int, optional
        Of the result, where there is no zero point to say it.
    """
    dtype = (edit.type(zero) if zero else 0) or dtype or TensorProto.UINT8
    shape = edit.shape(name)
    rank = len(shape) if shape is not None else rank
    single = _single(edit, scale)
    if single != scale:
        name, scale = edit.cast(name, TensorProto.FLOAT), single
    scale, zero = as_scalar(edit, scale), as_scalar(edit, zero) if zero else ""
    zero = _with_zero(edit, scale, zero)
    if _fits(edit, dtype, scale, rank, axis):
        if not zero:
            kind = helper.tensor_dtype_to_np_dtype(dtype)
            zero = edit.store(np.zeros(edit.shape(scale) or (), kind))
        places = {} if edit.shape(scale) == () else {"axis": axis % rank if rank else axis}
        return str(edit.emit("QuantizeLinear", [name, scale, zero], **places))
    number = edit.emit("Div", [name, _along(edit, scale, axis, rank or 0)])
    number = edit.emit("Round", [number])
    if zero:
        place = _along(edit, stored_whole(edit, zero), axis, rank or 0)
        number = edit.emit("Add", [number, edit.emit("Cast", [place], to=TensorProto.FLOAT)])
    least, largest = (edit.store(np.float32(limit)) for limit in _LIMITS[dtype])
    return str(edit.emit("Cast", [edit.emit("Clip", [number, least, largest])], to=dtype))


def product(edit: Edit, one: str, other: str, shape: tuple[int, ...] | None = None) -> str:
    """Return the product of two scales; computed here where both are constant."""
    first, second = edit.constant(one), edit.constant(other)
    if first is None or second is None:
        made = str(edit.emit("Mul", [one, other]))
        return made if shape is None else edit.reshape(made, shape)
    values: npt.NDArray[Any] = np.asarray(np.float32(first) * np.float32(second), np.float32)
    return edit.store(values if shape is None else values.reshape(shape))


def rounded(edit: Edit, name: str, scale: str, zero: str, axis: int, dtype: int) -> str:
    """Return numbers as those that their steps of a scale stand for; no tensor holds the steps."""
    shape = edit.shape(name)
    rank = len(shape) if shape is not None else 0
    each = _along(edit, as_scalar(edit, scale), axis, rank)
    number = edit.emit("Round", [edit.emit("Div", [name, each])])
    shift = ""
    if zero:
        place = _along(edit, stored_whole(edit, as_scalar(edit, zero)), axis, rank)
        shift = edit.emit("Cast", [place], to=TensorProto.FLOAT)
        number = edit.emit("Add", [number, shift])
    number = edit.emit("Clip", [number, *(edit.store(np.float32(limit)) for limit in _LIMITS[dtype])])
    number = edit.emit("Sub", [number, shift]) if shift else number
    return str(edit.emit("Mul", [number, each]))


def convolved(
    node: Any,
    edit: Edit,
    x: tuple[str, str, str],
    weights: tuple[str, str, str],
    result: tuple[str, str],
    bias: str,
    perm: Sequence[Sequence[int]] = (),
) -> str:
    """Return a convolution of quantized numbers, each with its scale and its zero point.

    Parameters
    ----------
    bias : str
        Of 32 bits; its scale is the product of both, its zero point 0. May be empty.
    perm : sequence of permutations, optional
        From channels last to channels first, and back.
    """
    data = dequantized(edit, *x)
    if perm:
        data = edit.emit("Transpose", [data], perm=list(perm[0]))
    inputs = [data, dequantized(edit, *weights, axis=0)]
    if bias:
        shape = edit.shape(weights[1])
        scale = product(edit, as_scalar(edit, x[1]), weights[1], (-1,) if shape and shape != (1,) else ())
        inputs.append(dequantized(edit, bias, scale, "", axis=0, rank=1, dtype=TensorProto.INT32))
    made = edit.emit("Conv", inputs, **_graphs.attributes(node, "channels_last"))
    if perm:
        made = edit.emit("Transpose", [made], perm=list(perm[1]))
    return quantized(edit, made, *result)
