"""GroupQueryAttention, in which several queries share a key and its value."""

from __future__ import annotations

import itertools
from typing import Any

from workers.models import _graphs
from workers.models.rewrites.edit import Edit
from workers.models.rewrites.microsoft.attention import attended, causal, heads_apart, heads_together, scaled
from workers.models.rewrites.microsoft.positions import angles, rotated
from workers.models.rewrites.microsoft.writing import as_type, first_type, part, refusal, wide

__all__ = ["RULES"]

# By their places; what is here without being asked for has no meaning without a past.
_PAST, _LENGTHS, _COS, _SIN, _PLACES, _ADDED = 3, 5, 7, 8, 9, 10
_CACHED = ("kv_cache_bit_width", "sliding_window_cache", "smooth_softmax", "qk_output")


def _grouped(node: Any, edit: Edit) -> list[str] | None:
    if edit.input(node, _PAST) and 0 not in (edit.shape(edit.input(node, _PAST)) or ()):
        raise refusal(node, "a past can't be imported; export the model without (use_cache=False)")
    odd = [name for name in _CACHED if int(_graphs.attribute(node, name, 0))]
    odd += [f"input {place}" for place in range(_ADDED + 1, len(node.input)) if node.input[place]]
    if odd or not int(_graphs.attribute(node, "causal", 1)):
        raise refusal(node, f"{', '.join(odd) or 'causal = 0'} can't be imported; export the model without")
    query, key, value = (edit.input(node, place) for place in range(3))
    shape, dtype = edit.shape(query), first_type(node, edit, 0, 1, 2)
    heads, groups = (int(_graphs.attribute(node, name, 1)) for name in ("num_heads", "kv_num_heads"))
    if shape is None or not dtype:
        return None
    batch, length, width = shape
    size = width // heads if key else width // (heads + 2 * groups)
    if not key:
        borders = [0, heads * size, (heads + groups) * size, width]
        query, key, value = (part(edit, query, 2, i, j) for i, j in itertools.pairwise(borders))
    query, key, value = (
        heads_apart(edit, name, count) for name, count in ((query, heads), (key, groups), (value, groups))
    )
    if int(_graphs.attribute(node, "do_rotary", 0)):
        cache, places = edit.shape(edit.input(node, _COS)), edit.input(node, _PLACES)
        if cache is None or (places and edit.shape(places) is None):
            return None
        cos, sin = (
            angles(edit, edit.input(node, i), places, length, edit.shape(places) or (), 1)
            for i in (_COS, _SIN)
        )
        between = bool(_graphs.attribute(node, "rotary_interleaved", 0))
        query, key = (
            rotated(edit, x, cos, sin, 2 * cache[1], size, interleaved=between) for x in (query, key)
        )
    present = [key, value]
    if heads != groups:
        # Each as often as there are queries to it.
        key, value = (
            edit.reshape(
                edit.emit(
                    "Concat", [edit.reshape(x, [batch, groups, 1, length, size])] * (heads // groups), axis=2
                ),
                [batch, heads, length, size],
            )
            for x in present
        )
    inner, window = wide(dtype), int(_graphs.attribute(node, "local_window_size", -1))
    masks = [causal(edit, length, length, inner, max(window, 0))]
    if added := edit.input(node, _ADDED):
        masks.append(as_type(edit, added, dtype, inner))
    softcap = float(_graphs.attribute(node, "softcap", 0.0))
    query = scaled(edit, node, query, size, dtype)
    return [heads_together(edit, attended(edit, query, key, value, masks, dtype, softcap)), *present]


RULES = {"GroupQueryAttention": _grouped}
