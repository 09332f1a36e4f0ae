"""Convolutions, with what is done after them, and with their channels last."""

from __future__ import annotations

from typing import Any

from workers.models import _graphs
from workers.models.rewrites.edit import Edit
from workers.models.rewrites.microsoft.activations import activated
from workers.models.rewrites.microsoft.writing import add, first_type

__all__ = ["RULES"]


def _first(rank: int) -> list[int]:
    """Return the order that puts the channels, which are last, behind the batch."""
    return [0, rank - 1, *range(1, rank - 1)]


def _last(rank: int) -> list[int]:
    return [0, *range(2, rank), 1]


def _convolved(node: Any, edit: Edit, x: str, weights: str) -> str:
    bias = edit.input(node, 2)
    plain = _graphs.attributes(node, "activation", "activation_params")
    return str(edit.emit("Conv", [x, weights, *([bias] if bias else [])], **plain))


def _fused(node: Any, edit: Edit) -> list[str] | None:
    dtype = first_type(node, edit, 0, 1, 2, 3)
    if not dtype:
        return None
    result = _convolved(node, edit, *node.input[:2])
    return [activated(node, edit, add(edit, result, edit.input(node, 3)), dtype)]


def _channels_last(node: Any, edit: Edit) -> list[str] | None:
    """NhwcConv, whose weights have their channels last too, and NhwcFusedConv, whose have not."""
    dtype, shape = first_type(node, edit, 0, 1, 2, 3), edit.shape(node.input[1])
    if not dtype or shape is None:
        return None
    rank, weights = len(shape), str(node.input[1])
    x = edit.emit("Transpose", [node.input[0]], perm=_first(rank))
    if node.op_type == "NhwcConv":
        weights = edit.emit("Transpose", [weights], perm=_first(rank))
    result = edit.emit("Transpose", [_convolved(node, edit, x, weights)], perm=_last(rank))
    return [activated(node, edit, add(edit, result, edit.input(node, 3)), dtype)]


RULES = {
    "FusedConv": _fused,
    "NhwcConv": _channels_last,
    "NhwcFusedConv": _channels_last,
}
