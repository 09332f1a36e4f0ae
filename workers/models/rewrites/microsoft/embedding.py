"""The tables that a transformer begins with."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.edit import Edit
from workers.models.rewrites.microsoft.norms import layer_norm
from workers.models.rewrites.microsoft.writing import add, first_type, number, part, total

__all__ = ["RULES"]


def _embedded(node: Any, edit: Edit) -> list[str] | None:
    """EmbedLayerNormalization: words, positions and segments; and the number of words in each sequence."""
    ids, segments, words, positions = node.input[:4]
    table, gamma, beta = (edit.input(node, place) for place in (4, 5, 6))
    mask, places = edit.input(node, 7), edit.input(node, 8)
    shape, dtype = edit.shape(ids), first_type(node, edit, 2, 3, 5, 6)
    if shape is None or not dtype:
        return None
    if places:
        position = edit.emit("Gather", [positions, places], axis=0)
    else:
        position = part(edit, positions, 0, 0, shape[1])
    segment = edit.emit("Gather", [table, segments], axis=0) if segments and table else ""
    word = edit.emit("Gather", [words, ids], axis=0)
    whole = add(edit, word, position, segment)
    epsilon = float(_graphs.attribute(node, "epsilon", 1e-12))
    normal = layer_norm(edit, whole, gamma, beta, epsilon, dtype)[0]
    count = edit.store(np.zeros(shape[0], np.int32))
    if mask:
        kind = edit.type(mask) or TensorProto.INT32
        hits = edit.emit("Equal", [mask, number(edit, 1, kind)])
        count = total(edit, edit.emit("Cast", [hits], to=TensorProto.INT32), 1)
    return [normal, count, whole]


RULES = {"EmbedLayerNormalization": _embedded}
