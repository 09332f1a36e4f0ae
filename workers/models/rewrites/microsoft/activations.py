"""Activations, with the bias that is added before them."""

from __future__ import annotations

import math
from typing import Any

from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.edit import Edit
from workers.models.rewrites.microsoft.writing import (
    ROW_END,
    add,
    as_type,
    first_type,
    number,
    part,
    refusal,
    wide,
)

__all__ = ["RULES", "activated", "fast_gelu", "silu"]

# As the kernels have them: sqrt(2 / pi), and the same times 0.044715.
_LINEAR, _CUBIC = 0.7978845608028654, 0.035677408136300125


def gelu(edit: Edit, x: str, dtype: int) -> str:
    """Write the exact one, by the error function."""
    inner = wide(dtype)
    x = as_type(edit, x, dtype, inner)
    erf = edit.emit("Erf", [edit.emit("Mul", [x, number(edit, math.sqrt(0.5), inner)])])
    share = edit.emit("Add", [erf, number(edit, 1.0, inner)])
    half = edit.emit("Mul", [x, number(edit, 0.5, inner)])
    return as_type(edit, edit.emit("Mul", [half, share]), inner, dtype)


def fast_gelu(edit: Edit, x: str, dtype: int) -> str:
    """Write the approximation by tanh."""
    inner = wide(dtype)
    x = as_type(edit, x, dtype, inner)
    square = edit.emit("Mul", [x, x])
    scaled = edit.emit("Mul", [square, number(edit, _CUBIC, inner)])
    scaled = edit.emit("Mul", [x, edit.emit("Add", [scaled, number(edit, _LINEAR, inner)])])
    share = edit.emit("Add", [edit.emit("Tanh", [scaled]), number(edit, 1.0, inner)])
    half = edit.emit("Mul", [x, number(edit, 0.5, inner)])
    return as_type(edit, edit.emit("Mul", [half, share]), inner, dtype)


def silu(edit: Edit, x: str, dtype: int, alpha: float = 1.0) -> str:
    """Write x * sigmoid(alpha * x)."""
    inner = wide(dtype)
    x = as_type(edit, x, dtype, inner)
    scaled = x if alpha == 1.0 else edit.emit("Mul", [x, number(edit, alpha, inner)])
    return as_type(edit, edit.emit("Mul", [x, edit.emit("Sigmoid", [scaled])]), inner, dtype)


# The attributes of what a convolution or product is fused with, in the order of ``activation_params``.
_PLAIN = {"Relu": (), "Tanh": (), "Sigmoid": (), "Softplus": (), "Softsign": ()}
_WITH_NUMBERS: dict[str, tuple[str, ...]] = {
    **_PLAIN,
    "LeakyRelu": ("alpha",),
    "Elu": ("alpha",),
    "ThresholdedRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Selu": ("alpha", "gamma"),
}
_CLIP_CHANGED = 11


def activated(node: Any, edit: Edit, x: str, dtype: int) -> str:
    """Write the activation that a node says it is fused with."""
    name = _graphs.attribute(node, "activation", b"").decode()
    numbers = list(_graphs.attribute(node, "activation_params", []))
    if not name:
        return x
    if name == "HardSwish":
        numbers = numbers or [1 / 6, 0.5]
        share = edit.emit("HardSigmoid", [x], alpha=numbers[0], beta=numbers[1])
        return str(edit.emit("Mul", [x, share]))
    if name in ("Silu", "QuickGelu"):
        return silu(edit, x, dtype, numbers[0] if numbers else 1.0)
    if name == "Clip":
        low, high = numbers
        if edit.opset < _CLIP_CHANGED:
            return str(edit.emit("Clip", [x], min=low, max=high))
        return str(edit.emit("Clip", [x, number(edit, low, dtype), number(edit, high, dtype)]))
    if name not in _WITH_NUMBERS:
        raise refusal(
            node, f"the activation {name!r} is not known here; save the model without optimizations"
        )
    given = dict(zip(_WITH_NUMBERS[name], numbers, strict=False))
    for attribute in _WITH_NUMBERS[name]:
        # FusedGemm's own way to say them.
        value = _graphs.attribute(node, f"activation_{attribute}")
        if value is not None:
            given[attribute] = value
    return str(edit.emit(name, [x], **given))


def _gelu(node: Any, edit: Edit) -> list[str] | None:
    dtype = first_type(node, edit, 0, 1)
    return [gelu(edit, add(edit, *node.input[:2]), dtype)] if dtype else None


def _fast_gelu(node: Any, edit: Edit) -> list[str] | None:
    dtype = first_type(node, edit, 0, 1)
    return [fast_gelu(edit, add(edit, *node.input[:2]), dtype)] if dtype else None


def _quick_gelu(node: Any, edit: Edit) -> list[str] | None:
    dtype = first_type(node, edit, 0)
    alpha = float(_graphs.attribute(node, "alpha", 1.702))
    return [silu(edit, node.input[0], dtype, alpha)] if dtype else None


def _split_gelu(node: Any, edit: Edit) -> list[str] | None:
    """The left half, times the activation of the right one."""
    dtype, shape = first_type(node, edit, 0, 1), edit.shape(node.input[1])
    if not dtype or shape is None:
        return None
    x = add(edit, *node.input[:2])
    left, right = part(edit, x, -1, 0, shape[0] // 2), part(edit, x, -1, shape[0] // 2, ROW_END)
    return [edit.emit("Mul", [left, gelu(edit, right, dtype)])]


def _bias_add(node: Any, edit: Edit) -> list[str] | None:
    return [add(edit, *node.input[:3])]


def _bias_dropout(node: Any, edit: Edit) -> list[str] | None:
    """Without the dropout, which does nothing at inference."""
    training = edit.constant(edit.input(node, 4))
    if edit.input(node, 4) and (training is None or training.any()):
        raise refusal(node, "it is in training mode; export the model in inference mode")
    if edit.used(node, 1):
        raise refusal(node, "its mask is used; export the model in inference mode")
    return [add(edit, *node.input[:3])]


def _all_finite(node: Any, edit: Edit) -> list[str] | None:
    no_infinity = not _graphs.attribute(node, "isnan_only", 0)
    no_nan = not _graphs.attribute(node, "isinf_only", 0)
    if not (no_infinity or no_nan):
        raise refusal(node, "it asks for both, and for neither")
    odd = []
    for name in node.input:
        kinds = [op for op, wanted in (("IsInf", no_infinity), ("IsNaN", no_nan)) if wanted]
        for kind in kinds:
            flags = edit.emit("Cast", [edit.emit(kind, [name])], to=TensorProto.FLOAT)
            odd.append(edit.emit("ReduceMax", [flags], keepdims=0))
    worst = odd[0] if len(odd) == 1 else edit.emit("Max", odd)
    return [edit.emit("Less", [worst, number(edit, 0.5, TensorProto.FLOAT)])]


RULES = {
    "BiasAdd": _bias_add,
    "BiasDropout": _bias_dropout,
    "BiasGelu": _gelu,
    "BiasSplitGelu": _split_gelu,
    "FastGelu": _fast_gelu,
    "Gelu": _gelu,
    "IsAllFinite": _all_finite,
    "QuickGelu": _quick_gelu,
}
