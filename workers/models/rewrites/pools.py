"""Pools that also say where the largest was, which TVM has no pool for."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from onnx import helper

from workers.models import _graphs
from workers.models.rewrites.edit import Edit

__all__ = ["RULES"]


def _with_places(node: Any, edit: Edit) -> list[str] | None:
    """The largest of a window's entries and its place, compared one after the other.

    The places are those within the whole tensor, laid out flat. Of equals the first counts.
    """
    if len(node.output) < 2:
        return None
    attributes = _graphs.attributes(node, "storage_order")
    if not edit.used(node, 1):
        return [edit.emit("MaxPool", list(node.input), **attributes)]
    shape, target = edit.shape(node.input[0]), edit.shape(node.output[0])
    dtype = edit.type(node.input[0])
    if shape is None or target is None or not dtype or "auto_pad" in attributes:
        return None
    rank = len(shape) - 2
    kernel = list(attributes["kernel_shape"])
    strides = list(attributes.get("strides", [1] * rank))
    dilations = list(attributes.get("dilations", [1] * rank))
    begin = list(attributes.get("pads", [0] * (2 * rank)))[:rank]
    # As far as the last window reaches, which with ceil_mode is beyond the pads.
    end = [
        max(
            (target[2 + i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - begin[i] - shape[2 + i], 0
        )
        for i in range(rank)
    ]
    kind = helper.tensor_dtype_to_np_dtype(dtype)
    least = -np.inf if kind.kind == "f" else np.iinfo(kind).min
    value = node.input[0]
    if any(begin) or any(end):
        pads = [0, 0, *begin, 0, 0, *end]
        if edit.opset >= 11:
            value = edit.emit("Pad", [value, edit.integers(pads), edit.store(least, kind)])
        else:
            value = edit.emit("Pad", [value], pads=pads, value=float(least))
    spatial = shape[2:]
    steps = [int(np.prod(spatial[i + 1 :])) for i in range(rank)]
    if _graphs.attribute(node, "storage_order", 0):
        steps = [int(np.prod(spatial[:i])) for i in range(rank)]
    best = place = ""
    for offsets in itertools.product(*(range(size) for size in kernel)):
        starts = [offset * dilation for offset, dilation in zip(offsets, dilations, strict=True)]
        ends = [start + (target[2 + i] - 1) * strides[i] + 1 for i, start in enumerate(starts)]
        axes = list(range(2, 2 + rank))
        limits = (edit.integers(values) for values in (starts, ends, axes, strides))
        entry = edit.emit("Slice", [value, *limits])
        where = edit.store(_places(target, starts, begin, strides, steps))
        if not best:
            best, place = entry, where
            continue
        larger = edit.emit("Greater", [entry, best])
        best = edit.emit("Where", [larger, entry, best])
        place = edit.emit("Where", [larger, where, place])
    planes = np.arange(shape[0] * shape[1], dtype=np.int64) * int(np.prod(spatial))
    base = edit.store(planes.reshape(shape[0], shape[1], *[1] * rank))
    return [best, edit.emit("Add", [place, base])]


def _places(
    target: tuple[int, ...], starts: list[int], begin: list[int], strides: list[int], steps: list[int]
) -> Any:
    """Return where in its plane each window's entry at one offset lies."""
    rank = len(starts)
    total = np.zeros([1, 1, *target[2:]], np.int64)
    for i in range(rank):
        along = np.arange(target[2 + i], dtype=np.int64) * strides[i] + starts[i] - begin[i]
        total = total + along.reshape([-1 if axis == 2 + i else 1 for axis in range(2 + rank)]) * steps[i]
    return total


RULES = {"MaxPool": _with_places}
