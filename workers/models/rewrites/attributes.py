"""Attributes and outputs that TVM's frontend drops: said in others that it reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from workers.models import _graphs
from workers.models.rewrites.edit import Edit

__all__ = ["RULES"]


def _window(node: Any, edit: Edit) -> tuple[list[int], list[int], list[int], list[int]] | None:
    """Return the spatial sizes of a convolution's or pool's input, its kernel, strides and dilations."""
    shape = edit.shape(node.input[0])
    if shape is None:
        return None
    spatial = list(shape[2:])
    kernel = _graphs.attribute(node, "kernel_shape")
    if kernel is None:
        weights = edit.shape(node.input[1]) if len(node.input) > 1 else None
        if weights is None:
            return None
        kernel = weights[2:]
    ones = [1] * len(spatial)
    strides = _graphs.attribute(node, "strides") or ones
    return spatial, list(kernel), list(strides), list(_graphs.attribute(node, "dilations") or ones)


def _auto_pad(node: Any, edit: Edit) -> list[str] | None:
    """Padding by name, as numbers: TVM rounds SAME_LOWER of pools the other way."""
    name = _graphs.attribute(node, "auto_pad", b"NOTSET").decode()
    window = _window(node, edit)
    if name == "NOTSET" or window is None:
        return None
    begin, end = [], []
    for size, kernel, stride, dilation in zip(*window, strict=True):
        total = 0
        if name != "VALID":
            reach = (kernel - 1) * dilation + 1
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        begin.append(total // 2 if name != "SAME_LOWER" else total - total // 2)
        end.append(total - begin[-1])
    made = edit.emit(
        node.op_type,
        list(node.input),
        len(node.output),
        **_graphs.attributes(node, "auto_pad", "pads"),
        pads=[*begin, *end],
    )
    return [made] if isinstance(made, str) else list(made)


def _transposed_convolution(node: Any, edit: Edit) -> list[str] | None:
    """The size of the result, as pads: TVM has no ``output_shape`` (apache/tvm 11076, 19450)."""
    wanted = _graphs.attribute(node, "output_shape")
    name = _graphs.attribute(node, "auto_pad", b"NOTSET").decode()
    window = _window(node, edit)
    if window is None or (wanted is None and name == "NOTSET"):
        return None
    sizes, kernels, strides, dilations = window
    extra = list(_graphs.attribute(node, "output_padding") or [0] * len(sizes))
    targets = list(wanted)[-len(sizes) :] if wanted is not None else None
    if targets is None:
        targets = [size * stride for size, stride in zip(sizes, strides, strict=True)]
        if name == "VALID":
            targets = [
                (size - 1) * stride + (kernel - 1) * dilation + 1 + more
                for size, kernel, stride, dilation, more in zip(
                    sizes, kernels, strides, dilations, extra, strict=True
                )
            ]
    begin, end = [], []
    for i, target in enumerate(targets):
        full = strides[i] * (sizes[i] - 1) + extra[i] + (kernels[i] - 1) * dilations[i] + 1
        total = full - target
        if total < 0:
            extra[i], total = extra[i] - total, 0
        # As onnxruntime: the odd one goes to the end, for SAME_LOWER and for an output shape to the begin.
        half = total // 2
        begin.append(half if name == "SAME_UPPER" else total - half)
        end.append(total - begin[-1])
    if any(more >= stride for more, stride in zip(extra, strides, strict=True)):
        return None
    made = edit.emit(
        "ConvTranspose",
        list(node.input),
        **_graphs.attributes(node, "output_shape", "auto_pad", "pads", "output_padding"),
        pads=[*begin, *end],
        output_padding=extra,
    )
    return [made]


def _layer_normalization(node: Any, edit: Edit) -> list[str] | None:
    """All three outputs, where the mean or the deviation is used: TVM returns a constant 0 for them."""
    shape = edit.shape(node.input[0])
    if shape is None or not (edit.used(node, 1) or edit.used(node, 2)):
        return None
    axis = int(_graphs.attribute(node, "axis", -1)) % len(shape)
    axes = list(range(axis, len(shape)))
    dtype = edit.type(node.input[0])
    x = edit.cast(node.input[0], TensorProto.FLOAT)
    mean = _mean(edit, x, axes)
    centered = edit.emit("Sub", [x, mean])
    variance = _mean(edit, edit.emit("Mul", [centered, centered]), axes)
    epsilon = edit.store(np.float32(_graphs.attribute(node, "epsilon", 1e-5)))
    deviation = edit.emit("Sqrt", [edit.emit("Add", [variance, epsilon])])
    inverse = edit.emit("Reciprocal", [deviation])
    result = edit.emit("Mul", [centered, inverse])
    if dtype != TensorProto.FLOAT:
        result = edit.emit("Cast", [result], to=dtype)
    result = edit.emit("Mul", [result, node.input[1]])
    if edit.input(node, 2):
        result = edit.emit("Add", [result, node.input[2]])
    return [result, mean, inverse][: len(node.output)]


def _mean(edit: Edit, name: str, axes: list[int]) -> str:
    if edit.opset >= 18:
        return str(edit.emit("ReduceMean", [name, edit.integers(axes)], keepdims=1))
    return str(edit.emit("ReduceMean", [name], axes=axes, keepdims=1))


def _infinite(node: Any, edit: Edit) -> list[str] | None:
    """Beyond the largest number: TVM knows both sides alone, and divides by zero on the way."""
    dtype = edit.type(node.input[0])
    if dtype not in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16):
        return None
    largest = np.finfo(helper.tensor_dtype_to_np_dtype(dtype)).max
    sides = []
    if _graphs.attribute(node, "detect_positive", 1):
        sides.append(edit.emit("Greater", [node.input[0], edit.like(largest, node.input[0])]))
    if _graphs.attribute(node, "detect_negative", 1):
        sides.append(edit.emit("Less", [node.input[0], edit.like(-largest, node.input[0])]))
    if not sides:
        sides = [edit.emit("Less", [node.input[0], node.input[0]])]
    return [sides[0] if len(sides) == 1 else edit.emit("Or", sides)]


def _top_k(node: Any, edit: Edit) -> list[str] | None:
    """In order, where any order would do: TVM has no other."""
    if _graphs.attribute(node, "sorted", 1):
        return None
    return list(edit.emit("TopK", list(node.input), 2, **_graphs.attributes(node, "sorted"), sorted=1))


RULES = {
    "AveragePool": _auto_pad,
    "MaxPool": _auto_pad,
    "LpPool": _auto_pad,
    "Conv": _auto_pad,
    "ConvInteger": _auto_pad,
    "ConvTranspose": _transposed_convolution,
    "IsInf": _infinite,
    "LayerNormalization": _layer_normalization,
    "TopK": _top_k,
}
