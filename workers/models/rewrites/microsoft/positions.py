"""Where a word is: rotations by its place, and biases by the distance of two."""

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
    mean,
    number,
    part,
    refusal,
    unsqueezed,
)

__all__ = ["RULES", "rotated"]


def rotated(edit: Edit, x: str, cos: str, sin: str, width: int, size: int, *, interleaved: bool) -> str:
    """Write a rotation of the first entries of the last axis.

    Parameters
    ----------
    cos, sin : str
        Of half as many entries as are rotated, broadcast to the rest of ``x``.
    width : int
        How many entries are rotated.
    size : int
        Of the last axis.
    """
    rest = part(edit, x, -1, width, ROW_END) if width < size else ""
    if rest:
        x = part(edit, x, -1, 0, width)
    if interleaved:
        halves = [part(edit, x, -1, start, ROW_END, 2) for start in (0, 1)]
    else:
        halves = [part(edit, x, -1, 0, width // 2), part(edit, x, -1, width // 2, ROW_END)]
    one, two = halves
    real = edit.emit("Sub", [edit.emit("Mul", [one, cos]), edit.emit("Mul", [two, sin])])
    other = edit.emit("Add", [edit.emit("Mul", [two, cos]), edit.emit("Mul", [one, sin])])
    if interleaved:
        pairs = [unsqueezed(edit, name, 4) for name in (real, other)]
        turned = edit.reshape(edit.emit("Concat", pairs, axis=4), [0, 0, 0, width])
        return str(edit.emit("Concat", [turned, rest], axis=-1)) if rest else turned
    return str(edit.emit("Concat", [real, other, *([rest] if rest else [])], axis=-1))


def angles(edit: Edit, cache: str, places: str, length: int, shape: tuple[int, ...], axis: int) -> str:
    """Write the cosines or sines of a sequence's places, with an axis for the heads.

    Parameters
    ----------
    places : str
        The first place, or each word's; empty where it begins with 0.
    shape : tuple of int
        Theirs.
    """
    if not places:
        rows = unsqueezed(edit, part(edit, cache, 0, 0, length), 0)
    elif len(shape) < 2:
        kind = edit.type(places) or TensorProto.INT64
        steps = as_type(edit, edit.integers(range(length)), TensorProto.INT64, kind)
        rows = edit.emit("Gather", [cache, unsqueezed(edit, add(edit, places, steps), 0)], axis=0)
    else:
        rows = edit.emit("Gather", [cache, places], axis=0)
    return unsqueezed(edit, rows, axis)


def _rotary(node: Any, edit: Edit) -> list[str] | None:
    x, places, *caches = node.input[:4]
    shape, given, cache = edit.shape(x), edit.shape(places), edit.shape(caches[0])
    if shape is None or given is None or cache is None:
        return None
    if _graphs.attribute(node, "is_packed_batching", 0):
        raise refusal(node, "sequences packed into one can't be imported; export the model without")
    interleaved = bool(_graphs.attribute(node, "interleaved", 0))
    width = int(_graphs.attribute(node, "rotary_embedding_dim", 0)) or 2 * cache[1]
    heads = int(_graphs.attribute(node, "num_heads", 0))
    flat = len(shape) == 3
    if flat:
        size = shape[2] // heads if heads else width
        x = edit.reshape(x, [0, 0, -1, size])
    else:
        size = shape[3]
    length, axis = (shape[1], 2) if flat else (shape[2], 1)
    cos, sin = (angles(edit, name, places, length, given, axis) for name in caches)
    result = rotated(edit, x, cos, sin, width, size, interleaved=interleaved)
    return [edit.reshape(result, [0, 0, -1]) if flat else result]


def _relative(node: Any, edit: Edit) -> list[str] | None:
    """RelativePositionBias: T5's, by buckets that grow with the distance."""
    table, shape = node.input[0], edit.shape(node.input[0])
    if shape is None:
        return None
    both, buckets = bool(_graphs.attribute(node, "is_bidirectional", 0)), shape[0]
    farthest = int(_graphs.attribute(node, "max_distance", 128))
    zero, one = (number(edit, value, TensorProto.INT64) for value in (0, 1))
    ends = [edit.reshape(name, []) for name in node.input[1:3]]
    queries, keys = (edit.emit("Range", [zero, end, one]) for end in ends)
    rows, columns = unsqueezed(edit, queries, 1), unsqueezed(edit, keys, 0)
    distance = edit.emit("Sub", [rows, columns])
    start = ""
    if both:
        buckets //= 2
        flags = edit.emit("Cast", [edit.emit("Less", [distance, zero])], to=TensorProto.INT64)
        start = edit.emit("Mul", [flags, number(edit, buckets, TensorProto.INT64)])
        distance = edit.emit("Abs", [distance])
    near = buckets // 2
    # The logarithm of what is near is not used, and must be one of something.
    numbers = edit.emit("Cast", [distance], to=TensorProto.FLOAT)
    numbers = edit.emit("Relu", [numbers])
    away = edit.emit("Max", [numbers, number(edit, 1, TensorProto.FLOAT)])
    ratio = edit.emit("Log", [edit.emit("Div", [away, number(edit, near, TensorProto.FLOAT)])])
    # In this order, since a bucket's border is a matter of rounding.
    ratio = edit.emit("Div", [ratio, number(edit, math.log(farthest / near), TensorProto.FLOAT)])
    steps = edit.emit("Floor", [edit.emit("Mul", [ratio, number(edit, buckets - near, TensorProto.FLOAT)])])
    far = edit.emit("Add", [steps, number(edit, near, TensorProto.FLOAT)])
    far = edit.emit("Min", [far, number(edit, buckets - 1, TensorProto.FLOAT)])
    closer = edit.emit("Less", [numbers, number(edit, near, TensorProto.FLOAT)])
    place = edit.emit("Cast", [edit.emit("Where", [closer, numbers, far])], to=TensorProto.INT64)
    bias = edit.emit("Gather", [table, add(edit, place, start)], axis=0)
    return [unsqueezed(edit, edit.emit("Transpose", [bias], perm=[2, 0, 1]), 0)]


def _gated(node: Any, edit: Edit) -> list[str] | None:
    """GatedRelativePositionBias: a position bias, weighted by what the query says."""
    shape, weight = edit.shape(node.input[0]), edit.shape(node.input[3])
    if shape is None or weight is None or len(shape) != 3 or not first_type(node, edit, 0, 1):
        return None
    if edit.input(node, 6):
        raise refusal(node, "inputs without their padding can't be imported; export the model without")
    dtype = first_type(node, edit, 0, 1)
    heads = int(_graphs.attribute(node, "num_heads", 1))
    query, bias, positions, matrix, gate_bias, eco = node.input[:6]
    x = edit.reshape(add(edit, query, bias), [0, 0, heads, -1])
    x = edit.emit("Transpose", [x], perm=[0, 2, 1, 3])
    x = add(edit, edit.emit("MatMul", [x, matrix]), gate_bias)
    x = edit.reshape(x, [shape[0], heads, shape[1], 2, weight[1] // 2])
    # A mean times a number: halves are summed in single precision where it is a mean.
    summed = edit.emit("Mul", [mean(edit, x, [-1]), number(edit, weight[1] // 2, dtype)])
    gates = edit.emit("Sigmoid", [edit.reshape(summed, [0, 0, 0, -1])])
    one, two = (edit.gather(gates, [i], 3) for i in (0, 1))
    inner = edit.emit("Sub", [edit.emit("Mul", [two, eco]), number(edit, 1.0, dtype)])
    share = edit.emit("Add", [edit.emit("Mul", [one, inner]), number(edit, 2.0, dtype)])
    return [edit.emit("Mul", [share, positions])]


RULES = {
    "GatedRelativePositionBias": _gated,
    "RelativePositionBias": _relative,
    "RotaryEmbedding": _rotary,
}
