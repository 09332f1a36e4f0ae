"""What the standard has by now, under the same name or another."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.edit import Edit
from workers.models.rewrites.microsoft.writing import number, refusal, unsqueezed

__all__ = ["RULES"]

# The opset that each came with.
_SINCE = {"GatherND": 11, "GridSample": 16, "Pad": 11, "Range": 11, "Trilu": 14}
_MODES_CHANGED = 20
_AXES_CHANGED = 18


def _alike(node: Any, edit: Edit) -> list[str] | None:
    if edit.opset < _SINCE[node.op_type]:
        raise refusal(node, f"the model's opset is {edit.opset}, and {_SINCE[node.op_type]} is needed for it")
    inputs, attributes = list(node.input), _graphs.attributes(node)
    if node.op_type == "Pad":
        inputs[1] = edit.reshape(inputs[1], [-1])
        if edit.input(node, 2):
            inputs[2] = edit.reshape(inputs[2], [])
    elif node.op_type == "Range":
        inputs = [edit.reshape(name, []) for name in inputs]
        if not edit.input(node, 2):
            kind = edit.type(node.input[0])
            if not kind:
                return None
            inputs[2:] = [number(edit, 1, kind)]
    elif node.op_type == "GridSample" and edit.opset >= _MODES_CHANGED:
        names = {b"bilinear": "linear", b"bicubic": "cubic"}
        mode = attributes.get("mode", b"bilinear")
        attributes["mode"] = names.get(mode, mode)
    elif node.op_type == "GatherND" and edit.type(inputs[1]) == TensorProto.INT32:
        inputs[1] = edit.emit("Cast", [inputs[1]], to=TensorProto.INT64)
    return [edit.emit(node.op_type, inputs, **attributes)]


def _expanded(node: Any, edit: Edit) -> list[str] | None:
    axis = edit.constant(node.input[1])
    return None if axis is None else [unsqueezed(edit, node.input[0], int(np.ravel(axis)[0]))]


def _distances(node: Any, edit: Edit) -> list[str] | None:
    """CDist: of each row of one matrix from each of another."""
    metric = _graphs.attribute(node, "metric", b"sqeuclidean").decode()
    if metric not in ("euclidean", "sqeuclidean"):
        raise refusal(node, f"the metric {metric!r} is not known here; export the model with 'euclidean'")
    apart = edit.emit("Sub", [unsqueezed(edit, node.input[0], 1), unsqueezed(edit, node.input[1], 0)])
    if edit.opset < _AXES_CHANGED:
        square = edit.emit("ReduceSumSquare", [apart], axes=[2], keepdims=0)
    else:
        square = edit.emit("ReduceSumSquare", [apart, edit.integers([2])], keepdims=0)
    return [square if metric == "sqeuclidean" else edit.emit("Sqrt", [square])]


RULES = {**dict.fromkeys(_SINCE, _alike), "CDist": _distances, "ExpandDims": _expanded}
