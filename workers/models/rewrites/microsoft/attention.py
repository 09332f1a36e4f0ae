"""Attention: of one sequence, with its projections, and of one to another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from workers.models import _graphs
from workers.models.rewrites.edit import Edit
from workers.models.rewrites.microsoft.writing import (
    add,
    as_type,
    first_type,
    number,
    part,
    refusal,
    unsqueezed,
    wide,
)

__all__ = ["RULES", "attended", "causal", "heads_apart", "heads_together", "scaled"]

_SHARED_BUFFER = (
    "a past that shares its buffer with the present can't be imported; "
    "convert the model without past_present_share_buffer"
)


def heads_apart(edit: Edit, x: str, heads: int) -> str:
    """Return (batch, length, heads * size) as (batch, heads, length, size)."""
    return str(edit.emit("Transpose", [edit.reshape(x, [0, 0, heads, -1])], perm=[0, 2, 1, 3]))


def heads_together(edit: Edit, x: str) -> str:
    """Return (batch, heads, length, size) as (batch, length, heads * size)."""
    return edit.reshape(edit.emit("Transpose", [x], perm=[0, 2, 1, 3]), [0, 0, -1])


def scaled(edit: Edit, node: Any, query: str, size: int, dtype: int) -> str:
    """Return the query times the scale of its products: an attribute, or by the size of a head."""
    scale = float(_graphs.attribute(node, "scale", 0.0)) or 1.0 / math.sqrt(size)
    return query if scale == 1.0 else str(edit.emit("Mul", [query, number(edit, scale, dtype)]))


def attended(
    edit: Edit, query: str, key: str, value: str, masks: Sequence[str], dtype: int, softcap: float = 0.0
) -> str:
    """Write the values' means, weighted by how well their keys fit the queries.

    Parameters
    ----------
    query, key, value : str
        Of shape (batch, heads, length, size); the query is scaled.
    masks : sequence of str
        What is added to the products, in the type to compute in: a sum of halves would overflow.
    softcap : float
        Products are held below it, where it is not 0.
    """
    inner = wide(dtype)
    keys = edit.emit("Transpose", [key], perm=[0, 1, 3, 2])
    fits = as_type(edit, edit.emit("MatMul", [query, keys]), dtype, inner)
    if softcap:
        cap = number(edit, softcap, inner)
        fits = edit.emit("Mul", [edit.emit("Tanh", [edit.emit("Div", [fits, cap])]), cap])
    weights = edit.emit("Softmax", [add(edit, fits, *masks)], axis=-1)
    return str(edit.emit("MatMul", [as_type(edit, weights, inner, dtype), value]))


def _lowest(dtype: int) -> float:
    return float(np.finfo(helper.tensor_dtype_to_np_dtype(dtype)).min)


def causal(edit: Edit, length: int, whole: int, dtype: int, window: int = 0) -> str:
    """Add a constant mask that keeps each query, the last of all keys being its own, from what comes later.

    Parameters
    ----------
    length, whole : int
        How many queries and keys there are.
    window : int
        How many keys a query sees, where it is not 0.
    """
    behind = np.arange(length)[:, None] + whole - length - np.arange(whole)[None, :]
    hidden = (behind < 0) | (behind >= window if window else False)
    kind = helper.tensor_dtype_to_np_dtype(dtype)
    label = f"causal_{length}_{whole}_{window}_{kind.name}"
    return edit.shared(np.where(hidden, np.finfo(kind).min, 0.0).astype(kind)[None, None], label)


def _padding(node: Any, edit: Edit, mask: str, batch: int, length: int, whole: int, dtype: int) -> str | None:
    """Return a mask of keys in any of its forms as a number to add; None where its shape isn't known yet."""
    shape = edit.shape(mask)
    if shape is None:
        return None
    filler = float(_graphs.attribute(node, "mask_filter_value", -10000.0))
    seen, hidden = number(edit, 0.0, dtype), number(edit, filler, dtype)
    kind = edit.type(mask) or TensorProto.INT32
    if len(shape) == 1:
        places = edit.store(np.arange(whole).reshape(1, whole), helper.tensor_dtype_to_np_dtype(kind))
        ends = edit.reshape(_piece(edit, mask, shape[0], 0, batch), [batch, 1])
        flags = edit.emit("Less", [places, ends])
        if shape[0] == 2 * batch and node.op_type == "Attention":
            starts = edit.reshape(_piece(edit, mask, shape[0], batch, 2 * batch), [batch, 1])
            begun = edit.emit("Not", [edit.emit("Less", [places, starts])])
            flags = edit.emit("And", [flags, begun])
        flags = edit.reshape(flags, [batch, 1, 1, whole])
        return str(edit.emit("Where", [flags, seen, hidden]))
    if len(shape) == 4:
        # Of as many places as there may ever be.
        mask = part(edit, part(edit, mask, 2, whole - length, whole), 3, 0, whole)
    elif len(shape) == 3:
        mask = edit.reshape(mask, [shape[0], 1, *shape[1:]])
    else:
        mask = edit.reshape(mask, [shape[0], 1, 1, shape[1]])
    flags = edit.emit("Greater", [mask, number(edit, 0, kind)])
    return str(edit.emit("Where", [flags, seen, hidden]))


def _piece(edit: Edit, name: str, size: int, start: int, end: int) -> str:
    return name if (start, end) == (0, size) else part(edit, name, 0, start, end)


def _masks(
    node: Any, edit: Edit, mask: str, bias: str, sizes: tuple[int, int, int], dtype: int
) -> list[str] | None:
    """Return all that is added to the products; None where a shape isn't known yet."""
    inner, masks = wide(dtype), []
    batch, length, whole = sizes
    if bias:
        masks.append(as_type(edit, bias, dtype, inner))
    shape = edit.shape(mask) if mask else ()
    # One entry for all keys hides none of them more than another.
    if mask and not (shape and len(shape) == 2 and shape[1] == 1):
        padding = _padding(node, edit, mask, batch, length, whole, inner)
        if padding is None:
            return None
        masks.append(padding)
    if int(_graphs.attribute(node, "unidirectional", 0)) and length > 1:
        masks.append(causal(edit, length, whole, inner))
    return masks


def _attention(node: Any, edit: Edit) -> list[str] | None:
    """Attention: of a sequence to itself, the projections included."""
    x, weights, bias, mask, past, added, shared = (edit.input(node, place) for place in range(7))
    if int(_graphs.attribute(node, "do_rotary", 0)):
        raise refusal(node, "do_rotary can't be imported; export the model with RotaryEmbedding instead")
    if shared or int(_graphs.attribute(node, "past_present_share_buffer", 0)):
        raise refusal(node, _SHARED_BUFFER)
    shape, matrix, old = edit.shape(x), edit.shape(weights), edit.shape(past) if past else ()
    dtype, heads = first_type(node, edit, 0, 1, 2), int(_graphs.attribute(node, "num_heads", 1))
    if shape is None or matrix is None or old is None or not dtype:
        return None
    widths = list(_graphs.attribute(node, "qkv_hidden_sizes") or [matrix[1] // 3] * 3)
    projected = add(edit, edit.emit("MatMul", [x, weights]), bias)
    borders = [0, widths[0], widths[0] + widths[1], sum(widths)]
    query, key, value = (
        heads_apart(edit, part(edit, projected, 2, start, end), heads)
        for start, end in itertools.pairwise(borders)
    )
    if past:
        before = [edit.emit("Gather", [past, edit.store(np.int64(i))], axis=0) for i in (0, 1)]
        key, value = (
            edit.emit("Concat", [one, other], axis=2) for one, other in zip(before, (key, value), strict=True)
        )
    batch, length = shape[:2]
    masks = _masks(node, edit, mask, added, (batch, length, length + (old[3] if old else 0)), dtype)
    if masks is None:
        return None
    query = scaled(edit, node, query, widths[0] // heads, dtype)
    result = heads_together(edit, attended(edit, query, key, value, masks, dtype))
    if not edit.used(node, 1):
        return [result]
    present = [unsqueezed(edit, name, 0) for name in (key, value)]
    return [result, edit.emit("Concat", present, axis=0)]


def _packed(edit: Edit, name: str, place: int, bias: str, heads: int) -> str:
    """Return one of the tensors that are packed as (batch, length, heads, how many, size)."""
    x = str(edit.emit("Gather", [name, edit.store(np.int64(place))], axis=3))
    if bias:
        x = add(edit, x, edit.reshape(bias, [heads, -1]))
    return str(edit.emit("Transpose", [x], perm=[0, 2, 1, 3]))


def _multi_head(node: Any, edit: Edit) -> list[str] | None:
    """MultiHeadAttention: of one sequence to another, both projected before."""
    query, key, value, bias, mask, added, past_key, past_value, *buffers = (
        edit.input(node, place) for place in range(10)
    )
    if any(buffers):
        raise refusal(node, _SHARED_BUFFER)
    if edit.used(node, 3):
        raise refusal(node, "its products are used, which can't be imported; export the model without them")
    dtype, heads = first_type(node, edit, 0, 1, 2, 3), int(_graphs.attribute(node, "num_heads", 1))
    known = [edit.shape(name) if name else () for name in (query, key, value, past_key)]
    if not dtype or any(shape is None for shape in known):
        return None
    of_query, of_key, of_value, of_past = (shape or () for shape in known)
    size = of_query[-1] if len(of_query) == 5 else of_query[2] // heads
    middle = heads * size
    end = middle * 2 + (of_value[2] if len(of_value) == 3 else middle)
    biases = [part(edit, bias, 0, i, j) if bias else "" for i, j in ((0, middle), (middle, 2 * middle),
                                                                     (2 * middle, end))]  # fmt: skip
    if len(of_query) == 5:
        query, key, value = (_packed(edit, query, i, one, heads) for i, one in enumerate(biases))
        fresh = of_query[1]
    else:
        query = heads_apart(edit, add(edit, query, biases[0]), heads)
        if len(of_key) == 5:
            key, value = (_packed(edit, key, i, one, heads) for i, one in enumerate(biases[1:]))
            fresh = of_key[1]
        elif len(of_key) == 4:
            fresh = of_key[2]
        else:
            key = heads_apart(edit, add(edit, key, biases[1]), heads)
            value = heads_apart(edit, add(edit, value, biases[2]), heads)
            fresh = of_key[1]
    if past_key:
        key = str(edit.emit("Concat", [past_key, key], axis=2))
        value = str(edit.emit("Concat", [past_value, value], axis=2))
    whole = fresh + (of_past[2] if of_past else 0)
    masks = _masks(node, edit, mask, added, (of_query[0], of_query[1], whole), dtype)
    if masks is None:
        return None
    query = scaled(edit, node, query, size, dtype)
    result = heads_together(edit, attended(edit, query, key, value, masks, dtype))
    return [result, key, value]


RULES = {"Attention": _attention, "MultiHeadAttention": _multi_head}
