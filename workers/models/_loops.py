"""Loops that would go round for longer than anybody waits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from workers.errors import ModelError
from workers.models import _graphs
from workers.models.rewrites.control import MOST_STEPS

__all__ = ["loops", "refuse_endless"]


def refuse_endless(model: onnx.ModelProto, path: Path) -> None:
    """Refuse loops of more constant steps than are written out, where no condition ends them before.

    Raises
    ------
    ModelError
        With the node and how often it goes round.
    """
    constants = _graphs.constants(model)
    for node in loops(model):
        trips = constants.get(node.input[0]) if node.input else None
        if node.input and node.input[0] and trips is None:
            continue
        count = None if trips is None else _number(trips)
        if (count is None or count > MOST_STEPS) and _never_ends(node, constants):
            times = "without an end" if count is None else f"{count:,} times"
            raise ModelError(
                f"{path}: Loop (node {_graphs.title(node)}) goes round {times}: its condition never ends it; "
                f"at most {MOST_STEPS:,} steps are written out"
            )


def loops(model: onnx.ModelProto) -> list[Any]:
    """Return the Loop nodes of all graphs of a model."""
    return [
        node
        for node in _graphs.nodes(model)
        if node.op_type == "Loop" and node.domain in _graphs.STANDARD_DOMAINS
    ]


def _number(tensor: Any) -> int:
    values = numpy_helper.to_array(tensor).ravel()
    return int(values[0]) if values.size and values.dtype.kind in "iu" else 0


def _never_ends(node: Any, constants: Mapping[str, Any]) -> bool:
    """Say whether the condition is true at first and stays what it is from step to step."""
    body = _graphs.attribute(node, "body")
    if body is None or len(body.input) < 2 or not body.output:
        return False
    first = node.input[1] if len(node.input) > 1 else ""
    if first and not _true(constants.get(first)):
        return False
    makers = {name: inner for inner in body.node for name in inner.output if name}
    name, seen = body.output[0].name, set[str]()
    while name in makers and makers[name].op_type == "Identity" and name not in seen:
        seen.add(name)
        name = makers[name].input[0] if makers[name].input else ""
    return bool(name == body.input[1].name or _true(constants.get(name)))


def _true(tensor: Any) -> bool:
    return tensor is not None and bool(np.all(numpy_helper.to_array(tensor)))
