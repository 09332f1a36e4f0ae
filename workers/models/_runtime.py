"""Shapes that the values of inputs decide about, found before anything is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from workers.errors import ModelError
from workers.models import _graphs

__all__ = ["refuse_shapes_by_values"]

# Which input of an operator says what shape its output has.
_SHAPE_INPUTS = {"Reshape": 1, "Expand": 1, "ConstantOfShape": 0, "Tile": 1, "Pad": 1}
# Read sizes, not values.
_READ_SIZES = {"Shape", "Size"}
# How many outputs' entries there are, is for the values to say.
_SIZED_BY_VALUES = {"Compress", "NonMaxSuppression", "NonZero", "Range", "StringSplit", "Unique"}


def refuse_shapes_by_values(model: onnx.ModelProto, path: Path) -> None:
    """Refuse a model in which an operator is told its output's shape by an input's values.

    TVM tunes kernels for sizes that are known; one draw of inputs would show a single one of many.

    Raises
    ------
    ModelError
        Naming the operator, its node, and the value that says the shape.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    # By the values of inputs decided about: the values themselves, and sizes.
    values = {value.name for value in model.graph.input} - stored
    _follow(model.graph, values, set(), path)


def _follow(graph: Any, values: set[str], sizes: set[str], path: Path) -> None:
    for node in graph.node:
        place = _SHAPE_INPUTS.get(node.op_type)
        if place is not None and len(node.input) > place and node.input[place] in values:
            raise ModelError(
                f"{path}: the shape that {node.op_type} (node {_graphs.title(node)}) gives its output is the "
                f"value of '{node.input[place]}', which depends on what the model is fed; make it a "
                "constant, or cut the model before that operator"
            )
        inner = [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]
        read = {*node.input, *(name for g in inner for n in g.node for name in n.input)}
        if read & (sizes if node.op_type in _READ_SIZES else values | sizes):
            values.update(name for name in node.output if name)
        if read & sizes or (node.op_type in _SIZED_BY_VALUES and read & values):
            sizes.update(name for name in node.output if name)
