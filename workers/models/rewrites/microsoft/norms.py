"""Normalizations: of rows and of groups of channels, with what is added before them."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.edit import Edit
from workers.models.rewrites.microsoft.activations import silu
from workers.models.rewrites.microsoft.writing import (
    add,
    as_type,
    first_type,
    mean,
    number,
    refusal,
    wide,
)

__all__ = ["RULES", "layer_norm"]

# The opset that has LayerNormalization as an operator of its own.
_STANDARD = 17


def layer_norm(
    edit: Edit,
    x: str,
    gamma: str,
    beta: str,
    epsilon: float,
    dtype: int,
    *,
    axes: tuple[int, ...] = (-1,),
    whole: bool = False,
) -> list[str]:
    """Write a normalization of rows; return its result, if ``whole`` the mean and deviation's inverse too."""
    if edit.opset >= _STANDARD:
        inputs, count = [x, gamma, *([beta] if beta else [])], 3 if whole else 1
        made = edit.emit("LayerNormalization", inputs, count, axis=axes[0], epsilon=epsilon)
        return [made] if isinstance(made, str) else list(made)
    inner = wide(dtype)
    x, gamma = as_type(edit, x, dtype, inner), as_type(edit, gamma, dtype, inner)
    middle = mean(edit, x, axes)
    centered = edit.emit("Sub", [x, middle])
    variance = mean(edit, edit.emit("Mul", [centered, centered]), axes)
    deviation = edit.emit("Sqrt", [edit.emit("Add", [variance, number(edit, epsilon, inner)])])
    result = edit.emit("Mul", [edit.emit("Div", [centered, deviation]), gamma])
    if beta:
        result = edit.emit("Add", [result, as_type(edit, beta, dtype, inner)])
    result = as_type(edit, result, inner, dtype)
    return [result, middle, edit.emit("Reciprocal", [deviation])] if whole else [result]


def _rms_norm(
    edit: Edit, x: str, gamma: str, epsilon: float, dtype: int, axes: tuple[int, ...] = (-1,)
) -> list[str]:
    """Write a normalization by the root of the mean square; return the result and the root's inverse."""
    inner = wide(dtype)
    x, gamma = as_type(edit, x, dtype, inner), as_type(edit, gamma, dtype, inner)
    square = mean(edit, edit.emit("Mul", [x, x]), axes)
    root = edit.emit("Sqrt", [edit.emit("Add", [square, number(edit, epsilon, inner)])])
    result = edit.emit("Mul", [edit.emit("Div", [x, root]), gamma])
    return [as_type(edit, result, inner, dtype), edit.emit("Reciprocal", [root])]


def _axes(node: Any, edit: Edit) -> tuple[int, ...] | None:
    axis = int(_graphs.attribute(node, "axis", -1))
    shape = edit.shape(node.input[0])
    if axis == -1:
        return (-1,)
    return None if shape is None else tuple(range(axis - len(shape) if axis > 0 else axis, 0))


def _rows(node: Any, edit: Edit) -> list[str] | None:
    """LayerNormalization and SimplifiedLayerNormalization in models of an opset that has none."""
    axes, dtype = _axes(node, edit), edit.type(node.input[1])
    kind = edit.type(node.input[0]) or dtype
    if axes is None or not dtype:
        return None
    # The type of the scale is the result's.
    x = as_type(edit, node.input[0], kind, dtype)
    epsilon = float(_graphs.attribute(node, "epsilon", 1e-5))
    if node.op_type == "LayerNormalization":
        whole = edit.used(node, 1) or edit.used(node, 2)
        beta = edit.input(node, 2)
        return layer_norm(edit, x, node.input[1], beta, epsilon, dtype, axes=axes, whole=whole)
    return _rms_norm(edit, x, node.input[1], epsilon, dtype, axes)


def _skipping(node: Any, edit: Edit) -> list[str] | None:
    dtype = first_type(node, edit, 0, 1, 2)
    if not dtype:
        return None
    if edit.used(node, 1) or edit.used(node, 2):
        raise refusal(node, "its mean or deviation is used, which onnxruntime doesn't compute either")
    simple = node.op_type == "SkipSimplifiedLayerNormalization"
    x, skip, gamma = node.input[:3]
    bias = edit.input(node, 3 if simple else 4)
    whole = add(edit, x, bias, skip)
    epsilon = float(_graphs.attribute(node, "epsilon", 1e-12))
    if simple:
        result = _rms_norm(edit, whole, gamma, epsilon, dtype)[0]
    else:
        result = layer_norm(edit, whole, gamma, edit.input(node, 3), epsilon, dtype)[0]
    return [result, "", "", whole]


def _groups(node: Any, edit: Edit) -> list[str] | None:
    """GroupNorm and SkipGroupNorm, by a normalization of each group as one channel."""
    shape, dtype = edit.shape(node.input[0]), first_type(node, edit, 0, 3)
    rank = len(shape or ())
    if shape is None or not dtype:
        return None
    last = bool(_graphs.attribute(node, "channels_last", 1))
    groups = int(_graphs.attribute(node, "groups", 1))
    x, gamma, beta = node.input[:3]
    spatial = [1] * (rank - 2)
    across = [1, *spatial, -1] if last else [1, -1, *spatial]
    if node.op_type == "SkipGroupNorm":
        skip, bias = edit.input(node, 3), edit.input(node, 4)
        flat = edit.shape(skip)
        if flat is None:
            return None
        if len(flat) == 2:
            skip = edit.reshape(skip, [0, *spatial, -1] if last else [0, -1, *spatial])
        x = add(edit, x, edit.reshape(bias, across) if bias else "", skip)
    total, inner = x, wide(dtype)
    x = as_type(edit, x, dtype, inner)
    if last:
        x = edit.emit("Transpose", [x], perm=[0, rank - 1, *range(1, rank - 1)])
        sizes = [shape[0], shape[-1], *shape[1:-1]]
    else:
        sizes = list(shape)
    ones, zeros = (edit.store(np.full(groups, v), np.float32) for v in (1.0, 0.0))
    epsilon = float(_graphs.attribute(node, "epsilon", 1e-5))
    x = edit.reshape(x, [sizes[0], groups, -1])
    x = edit.emit("InstanceNormalization", [x, ones, zeros], epsilon=epsilon)
    x = edit.reshape(x, sizes)
    channels = [1, -1, *spatial]
    scale, shift = (
        edit.reshape(as_type(edit, name, edit.type(name) or TensorProto.FLOAT, inner), channels)
        for name in (gamma, beta)
    )
    x = edit.emit("Add", [edit.emit("Mul", [x, scale]), shift])
    if int(_graphs.attribute(node, "activation", 0)):
        x = silu(edit, x, inner)
    if last:
        x = edit.emit("Transpose", [x], perm=[0, *range(2, rank), 1])
    return [as_type(edit, x, inner, dtype), total]


RULES = {
    "GroupNorm": _groups,
    "LayerNormalization": _rows,
    "SimplifiedLayerNormalization": _rows,
    "SkipGroupNorm": _groups,
    "SkipLayerNormalization": _skipping,
    "SkipSimplifiedLayerNormalization": _skipping,
}
