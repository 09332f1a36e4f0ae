"""Operators that move entries about: one-hot vectors, reversed sequences, patches put back."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.edit import Edit

__all__ = ["RULES"]


def _one_hot(node: Any, edit: Edit) -> list[str] | None:
    """Compared with each place: TVM takes scalars for its two values, and reads no negative index."""
    shape, depth = edit.shape(node.input[0]), edit.constant(node.input[1])
    dtype = edit.type(node.input[2])
    if shape is None or depth is None or not dtype:
        return None
    count = int(depth.ravel()[0])
    axis = int(_graphs.attribute(node, "axis", -1)) % (len(shape) + 1)
    indices = edit.cast(node.input[0], TensorProto.INT64)
    negative = edit.emit("Less", [indices, edit.store(np.int64(0))])
    wrapped = edit.emit("Add", [indices, edit.store(np.int64(count))])
    places = edit.emit("Where", [negative, wrapped, indices])
    places = edit.reshape(places, [*shape[:axis], 1, *shape[axis:]])
    every = np.arange(count, dtype=np.int64).reshape([-1 if i == axis else 1 for i in range(len(shape) + 1)])
    hit = edit.emit("Equal", [places, edit.store(every)])
    low = edit.reshape(edit.slice(node.input[2], [0], [1], [0]), [1] * (len(shape) + 1))
    high = edit.reshape(edit.slice(node.input[2], [1], [2], [0]), [1] * (len(shape) + 1))
    return [edit.emit("Where", [hit, high, low])]


def _reverse_sequence(node: Any, edit: Edit) -> list[str] | None:
    """Entries taken from the place they come from; lengths may be known at run time alone."""
    shape = edit.shape(node.input[0])
    if shape is None:
        return None
    time = int(_graphs.attribute(node, "time_axis", 0))
    batch = int(_graphs.attribute(node, "batch_axis", 1))
    rank = len(shape)
    steps = np.arange(shape[time], dtype=np.int64).reshape([-1 if i == time else 1 for i in range(rank)])
    lengths = edit.reshape(
        edit.cast(node.input[1], TensorProto.INT64), [shape[batch] if i == batch else 1 for i in range(rank)]
    )
    at = edit.store(steps)
    last = edit.emit("Sub", [lengths, edit.store(np.int64(1))])
    within = edit.emit("Less", [at, lengths])
    place = edit.emit("Where", [within, edit.emit("Sub", [last, at]), at])
    place = edit.emit("Expand", [place, edit.integers(shape)])
    return [edit.emit("GatherElements", [node.input[0], place], axis=time)]


def _columns_to_image(node: Any, edit: Edit) -> list[str] | None:
    """A transposed convolution: each row of a column goes to its place in a patch, and patches add up."""
    shape = edit.shape(node.input[0])
    image, block = edit.constant(node.input[1]), edit.constant(node.input[2])
    if shape is None or image is None or block is None:
        return None
    sizes, kernel = [int(i) for i in image], [int(i) for i in block]
    rank, patch = len(sizes), int(np.prod(kernel))
    ones = [1] * rank
    strides = list(_graphs.attribute(node, "strides") or ones)
    dilations = list(_graphs.attribute(node, "dilations") or ones)
    pads = list(_graphs.attribute(node, "pads") or [0] * (2 * rank))
    counts = [
        (sizes[i] + pads[i] + pads[rank + i] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        for i in range(rank)
    ]
    batch, channels = shape[0], shape[1] // patch
    columns = edit.reshape(node.input[0], [batch * channels, patch, *counts])
    weights = edit.like(np.eye(patch).reshape(patch, 1, *kernel), node.input[0])
    missing = [
        sizes[i]
        + pads[i]
        + pads[rank + i]
        - (counts[i] - 1) * strides[i]
        - (kernel[i] - 1) * dilations[i]
        - 1
        for i in range(rank)
    ]
    whole = edit.emit(
        "ConvTranspose", [columns, weights], strides=strides, dilations=dilations, kernel_shape=kernel
    )
    if any(more > 0 for more in missing):
        full = [counts[i] * strides[i] - strides[i] + (kernel[i] - 1) * dilations[i] + 1 for i in range(rank)]
        before = [0] * (rank + 2)
        after = [0, 0, *[max(0, sizes[i] + pads[i] - full[i]) for i in range(rank)]]
        whole = edit.emit("Pad", [whole, edit.integers([*before, *after])])
    ends = [pads[i] + sizes[i] for i in range(rank)]
    part = edit.slice(whole, pads[:rank], ends, range(2, 2 + rank))
    return [edit.reshape(part, [batch, channels, *sizes])]


RULES = {"OneHot": _one_hot, "ReverseSequence": _reverse_sequence, "Col2Im": _columns_to_image}
