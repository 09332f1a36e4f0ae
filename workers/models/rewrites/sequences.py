"""Sequences of tensors whose places are known: followed to the tensors themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from workers.models import _graphs
from workers.models.rewrites.edit import Edit

__all__ = ["RULES"]


def _parts(name: str, edit: Edit) -> list[str] | None:
    """Return the tensors of a sequence; None where their number or order is not known."""
    node = edit.maker(name)
    if node is None:
        return None
    if node.op_type == "SequenceConstruct":
        return list(node.input)
    if node.op_type == "SequenceEmpty":
        return []
    if node.op_type == "SplitToSequence":
        return _split(node, edit)
    if node.op_type not in ("SequenceInsert", "SequenceErase", "Identity"):
        return None
    before = _parts(node.input[0], edit)
    if before is None or node.op_type == "Identity":
        return before
    place_input = 2 if node.op_type == "SequenceInsert" else 1
    place = edit.constant(edit.input(node, place_input))
    if edit.input(node, place_input) and place is None:
        return None
    if node.op_type == "SequenceInsert":
        at = len(before) if place is None else int(place.ravel()[0])
        at = at + len(before) if at < 0 else at
        return [*before[:at], node.input[1], *before[at:]]
    at = (len(before) - 1 if place is None else int(place.ravel()[0])) % len(before)
    return [*before[:at], *before[at + 1 :]]


def _split(node: Any, edit: Edit) -> list[str] | None:
    shape = edit.shape(node.input[0])
    if shape is None:
        return None
    axis = int(_graphs.attribute(node, "axis", 0)) % len(shape)
    split = edit.constant(edit.input(node, 1))
    if edit.input(node, 1) and split is None:
        return None
    size = shape[axis]
    if split is not None and split.ndim:
        lengths = [int(length) for length in split]
    else:
        each = 1 if split is None else int(split)
        lengths = [min(each, size - start) for start in range(0, size, each)]
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    parts = [
        edit.slice(node.input[0], [start], [start + length], [axis])
        for start, length in zip(starts, lengths, strict=True)
    ]
    if split is None and not _graphs.attribute(node, "keepdims", 1):
        kept = [s for i, s in enumerate(shape) if i != axis]
        parts = [edit.reshape(part, kept) for part in parts]
    return parts


def _at(node: Any, edit: Edit) -> list[str] | None:
    parts, place = _parts(node.input[0], edit), edit.constant(node.input[1])
    return None if parts is None or place is None else [parts[int(place.ravel()[0])]]


def _joined(node: Any, edit: Edit) -> list[str] | None:
    parts = _parts(node.input[0], edit)
    if not parts:
        return None
    axis = int(_graphs.attribute(node, "axis", 0))
    if _graphs.attribute(node, "new_axis", 0):
        shape = edit.shape(parts[0])
        if shape is None:
            return None
        place = axis % (len(shape) + 1)
        parts = [edit.reshape(part, [*shape[:place], 1, *shape[place:]]) for part in parts]
        axis = place
    return [edit.emit("Concat", parts, axis=axis)]


def _length(node: Any, edit: Edit) -> list[str] | None:
    parts = _parts(node.input[0], edit)
    return None if parts is None else [edit.store(np.int64(len(parts)))]


RULES = {"SequenceAt": _at, "ConcatFromSequence": _joined, "SequenceLength": _length}
