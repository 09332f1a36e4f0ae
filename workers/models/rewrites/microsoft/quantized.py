"""Operators on quantized numbers, as onnxruntime's quantizer writes them in its operator form.

Each becomes DequantizeLinear, the operator in floats, and QuantizeLinear; a product of integers stays one.
What onnxruntime computes by tables of 256 entries is within one step of that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.edit import Edit
from workers.models.rewrites.microsoft.writing import add, mean, refusal
from workers.models.rewrites.steps import (
    as_scalar,
    convolved,
    dequantized,
    product,
    quantized,
)

__all__ = ["RULES", "WHOLE"]

_SOFTMAX_CHANGED = 13
Made = Sequence[str] | None


def _three(node: Any, edit: Edit, place: int) -> tuple[str, str, str]:
    """Return numbers, their scale and their zero point, which follow each other."""
    x, scale, zero = (edit.input(node, i) for i in range(place, place + 3))
    return x, scale, zero


def _type(edit: Edit, name: str, zero: str) -> int:
    return (edit.type(zero) if zero else 0) or edit.type(name) or TensorProto.UINT8


def _first(rank: int) -> list[int]:
    return [0, rank - 1, *range(1, rank - 1)]


def _last(rank: int) -> list[int]:
    return [0, *range(2, rank), 1]


def _of_one(compute: Callable[[Any, Edit, str], str]) -> Callable[[Any, Edit], Made]:
    """Return the rule of an operator on one tensor: X, its scale and zero point, those of the result."""

    def rule(node: Any, edit: Edit) -> Made:
        x, scale, zero = _three(node, edit, 0)
        made = compute(node, edit, dequantized(edit, x, scale, zero))
        dtype = _type(edit, x, zero)
        return [quantized(edit, made, edit.input(node, 3), edit.input(node, 4), dtype=dtype)]

    return rule


def _of_two(operator: str) -> Callable[[Any, Edit], Made]:
    def rule(node: Any, edit: Edit) -> Made:
        a, b = _three(node, edit, 0), _three(node, edit, 3)
        made = edit.emit(operator, [dequantized(edit, *a), dequantized(edit, *b)])
        dtype = _type(edit, a[0], a[2])
        return [quantized(edit, made, edit.input(node, 6), edit.input(node, 7), dtype=dtype)]

    return rule


def _leaky(node: Any, edit: Edit, x: str) -> str:
    return str(edit.emit("LeakyRelu", [x], alpha=float(_graphs.attribute(node, "alpha", 0.01))))


def _averaged(node: Any, edit: Edit, x: str) -> str:
    plain = _graphs.attributes(node, "channels_last")
    if not _graphs.attribute(node, "channels_last", 0):
        return str(edit.emit("AveragePool", [x], **plain))
    rank = len(plain["kernel_shape"]) + 2
    made = edit.emit("AveragePool", [edit.emit("Transpose", [x], perm=_first(rank))], **plain)
    return str(edit.emit("Transpose", [made], perm=_last(rank)))


def _averaged_all(node: Any, edit: Edit) -> Made:
    x, scale, zero = _three(node, edit, 0)
    data, shape = dequantized(edit, x, scale, zero), edit.shape(x)
    if _graphs.attribute(node, "channels_last", 0):
        if shape is None:
            return None
        rank = len(shape)
        data = edit.emit("Transpose", [data], perm=_first(rank))
        made = edit.emit("GlobalAveragePool", [data])
        made = edit.emit("Transpose", [made], perm=_last(rank))
    else:
        made = edit.emit("GlobalAveragePool", [data])
    return [quantized(edit, made, *node.input[3:5])]


def _softmax(node: Any, edit: Edit, x: str) -> str:
    old = int(_graphs.attribute(node, "opset", _SOFTMAX_CHANGED)) < _SOFTMAX_CHANGED
    axis = int(_graphs.attribute(node, "axis", 1 if old else -1))
    if old and edit.opset >= _SOFTMAX_CHANGED:
        shape = edit.shape(node.input[0])
        if shape is None:
            raise refusal(node, "the shape of what it reads isn't known; save it with ORT_ENABLE_BASIC")
        axis %= len(shape)
        flat = edit.reshape(x, [int(np.prod(shape[:axis])), -1])
        return edit.reshape(edit.emit("Softmax", [flat], axis=1), shape)
    return str(edit.emit("Softmax", [x], axis=axis))


def _softmaxed(node: Any, edit: Edit) -> Made:
    if edit.shape(node.input[0]) is None:
        return None
    return _of_one(_softmax)(node, edit)


def _mean(node: Any, edit: Edit) -> Made:
    shape = edit.shape(node.input[0])
    if shape is None:
        return None

    def meant(node: Any, edit: Edit, x: str) -> str:
        axes = [int(n) % len(shape) for n in _graphs.attribute(node, "axes") or range(len(shape))]
        made = mean(edit, x, axes)
        if _graphs.attribute(node, "keepdims", 1):
            return made
        return edit.reshape(made, [size for i, size in enumerate(shape) if i not in axes])

    return _of_one(meant)(node, edit)


def _concatenated(node: Any, edit: Edit) -> Made:
    parts = [dequantized(edit, *_three(node, edit, place)) for place in range(2, len(node.input), 3)]
    made = edit.emit("Concat", parts, axis=int(_graphs.attribute(node, "axis", 0)))
    return [quantized(edit, made, *node.input[:2])]


def _chosen(node: Any, edit: Edit) -> Made:
    x, y = dequantized(edit, *_three(node, edit, 1)), dequantized(edit, *_three(node, edit, 4))
    return [quantized(edit, edit.emit("Where", [node.input[0], x, y]), *node.input[7:9])]


def _gemm(node: Any, edit: Edit) -> Made:
    a, b = _three(node, edit, 0), _three(node, edit, 3)
    bias, scale, zero = _three(node, edit, 6)
    attributes = _graphs.attributes(node)
    across = bool(attributes.get("transB", 0))
    inputs = [dequantized(edit, *a), dequantized(edit, *b, axis=0 if across else 1, rank=2)]
    alpha = float(attributes.get("alpha", 1.0))
    if bias:
        of_bias = product(edit, as_scalar(edit, a[1]), as_scalar(edit, b[1]))
        if alpha != 1.0:
            of_bias = product(edit, of_bias, edit.store(np.float32(alpha)))
        shape = edit.shape(bias) or (0,)
        inputs.append(dequantized(edit, bias, of_bias, "", axis=len(shape) - 1, dtype=TensorProto.INT32))
    made = edit.emit("Gemm", inputs, **attributes)
    return [quantized(edit, made, scale, zero) if scale else made]


def _convolution(node: Any, edit: Edit) -> Made:
    """QLinearConv with its channels last, which it has beside the standard's."""
    x, xs, xz, w, ws, wz, ys, yz = node.input[:8]
    shape = edit.shape(w)
    if shape is None:
        return None
    perm: tuple[Sequence[int], ...] = ()
    if _graphs.attribute(node, "channels_last", 0):
        perm = (_first(len(shape)), _last(len(shape)))
    return [convolved(node, edit, (x, xs, xz), (w, ws, wz), (ys, yz), edit.input(node, 8), perm)]


def _as_it_comes(node: Any, edit: Edit) -> Made:
    """DynamicQuantizeMatMul: what is multiplied with the weights is quantized by its own range."""
    a, b, scale, zero, bias = (edit.input(node, i) for i in range(5))
    steps, step, place = edit.emit("DynamicQuantizeLinear", [a], 3)
    whole = edit.emit("MatMulInteger", [steps, b, place, *([zero] if zero else [])])
    return [_scaled_back(edit, whole, step, scale, bias)]


def _to_float(node: Any, edit: Edit) -> Made:
    a, b, a_scale, b_scale, a_zero, b_zero, bias = (edit.input(node, i) for i in range(7))
    whole = edit.emit("MatMulInteger", [a, b, a_zero, *([b_zero] if b_zero else [])])
    return [_scaled_back(edit, whole, as_scalar(edit, a_scale), b_scale, bias)]


def _scaled_back(edit: Edit, whole: str, scale: str, other: str, bias: str) -> str:
    factor = product(edit, scale, as_scalar(edit, other))
    number = edit.emit("Cast", [whole], to=TensorProto.FLOAT)
    return add(edit, edit.emit("Mul", [number, factor]), bias)


def _wide_product(node: Any, edit: Edit) -> Made:
    sides = [edit.emit("Cast", [name], to=TensorProto.INT32) for name in node.input]
    return [edit.emit("MatMul", sides)]


def _dequantize(node: Any, edit: Edit) -> Made:
    axis = int(_graphs.attribute(node, "axis", 1))
    if edit.type(node.input[0]) == 0 and not edit.input(node, 2):
        return None
    return [dequantized(edit, *_three(node, edit, 0), axis=axis)]


def _quantize(node: Any, edit: Edit) -> Made:
    axis = int(_graphs.attribute(node, "axis", 1))
    shape = edit.shape(node.input[0])
    rank = None if shape is None else len(shape)
    return [quantized(edit, *_three(node, edit, 0), axis=axis, rank=rank)]


def _attention(node: Any, edit: Edit) -> Made:
    """QAttention: Attention whose projections are of integers."""
    x, weights, bias, x_scale, w_scale, mask, x_zero, w_zero, past = (edit.input(node, i) for i in range(9))
    data = dequantized(edit, x, x_scale, x_zero)
    matrix = dequantized(edit, weights, w_scale, w_zero, axis=1, rank=2)
    inputs = [data, matrix, bias, mask, past]
    while not inputs[-1]:
        inputs.pop()
    count = 2 if edit.used(node, 1) else 1
    made = edit.emit("Attention", inputs, count, domain=node.domain, **_graphs.attributes(node))
    return [made] if isinstance(made, str) else list(made)


def _embedding(node: Any, edit: Edit) -> Made:
    """QEmbedLayerNormalization: tables, and what normalizes, in bytes."""
    tables = [edit.input(node, i) for i in range(2, 7)]
    scales = [edit.input(node, i) for i in range(8, 13)]
    zeros = [edit.input(node, i) for i in range(13, 18)]
    whole = [
        dequantized(edit, table, scale, zero) if table else ""
        for table, scale, zero in zip(tables, scales, zeros, strict=True)
    ]
    inputs = [*node.input[:2], *whole, edit.input(node, 7)]
    while not inputs[-1]:
        inputs.pop()
    attributes = _graphs.attributes(node)
    return list(edit.emit("EmbedLayerNormalization", inputs, 2, domain=node.domain, **attributes))


RULES = {
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeMatMul": _as_it_comes,
    "MatMulInteger16": _wide_product,
    "MatMulIntegerToFloat": _to_float,
    "QAttention": _attention,
    "QEmbedLayerNormalization": _embedding,
    "QGemm": _gemm,
    "QLinearAdd": _of_two("Add"),
    "QLinearAveragePool": _of_one(_averaged),
    "QLinearConcat": _concatenated,
    "QLinearConv": _convolution,
    "QLinearGlobalAveragePool": _averaged_all,
    "QLinearLeakyRelu": _of_one(_leaky),
    "QLinearMul": _of_two("Mul"),
    "QLinearReduceMean": _mean,
    "QLinearSigmoid": _of_one(lambda node, edit, x: str(edit.emit("Sigmoid", [x]))),
    "QLinearSoftmax": _softmaxed,
    "QLinearWhere": _chosen,
    "QuantizeLinear": _quantize,
}

#: Those whose results are whole numbers, whatever type their scales have.
WHOLE = frozenset(
    name
    for name in RULES
    if name.startswith("QLinear") or name in ("MatMulInteger16", "QGemm", "QuantizeLinear")
)
