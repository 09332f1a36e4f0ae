"""The rules, applied to every graph of a model until none finds anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx

from workers.models import _graphs
from workers.models.rewrites import (
    attributes,
    control,
    elementwise,
    halves,
    indices,
    pools,
    quantized,
    resize,
    sequences,
    signals,
)
from workers.models.rewrites.edit import Edit

__all__ = ["rewrite"]

#: Returns the names that take the place of the node's outputs, or None to leave it as it is.
Rule = Callable[[Any, Edit], Sequence[str] | None]

# What one rule writes may be another's to rewrite.
_ROUNDS = 8


def _rules() -> dict[str, list[Rule]]:
    """Return the rules by operator, in the order in which they are asked."""
    found: dict[str, list[Rule]] = {}
    for module in (
        control,
        sequences,
        signals,
        quantized,
        resize,
        attributes,
        pools,
        indices,
        elementwise,
        halves,
    ):
        for operator, rule in module.RULES.items():
            found.setdefault(operator, []).append(rule)
    return found


def rewrite(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """Return a model in operators that TVM reads right, and one sentence for each kind that was not.

    Parameters
    ----------
    model : onnx.ModelProto
        Simplified, with fixed input shapes. It is not changed.

    Raises
    ------
    ModelError
        A rule found that a node asks for what nothing here can give, and names it.
    """
    rules = _rules()
    counts: Counter[str] = Counter()
    for _ in range(_ROUNDS):
        model, done = _round(model, rules)
        counts.update(done)
        if not done:
            break
    if not counts:
        return model, []
    listed = ", ".join(f"{count} {operator}" for operator, count in sorted(counts.items()))
    return model, [f"wrote out what TVM reads otherwise: {listed}"]


def _round(model: onnx.ModelProto, rules: Mapping[str, list[Rule]]) -> tuple[onnx.ModelProto, Counter[str]]:
    done: Counter[str] = Counter()
    if not any(node.op_type in rules for node in _graphs.nodes(model)):
        return model, done
    model = _graphs.infer_shapes(model)
    shapes, types = _graphs.shapes_and_types(model)
    constants = _graphs.constants(model)
    version = _graphs.opset(model)
    for graph in list(_graphs.graphs(model)):
        edit = Edit(graph, shapes, types, constants, version)
        nodes: list[Any] = []
        for node in graph.node:
            edit.made = []
            names = _first(node, edit, rules) if node.domain in _graphs.STANDARD_DOMAINS else None
            if names is None:
                nodes.append(node)
                continue
            done[node.op_type] += 1
            nodes += edit.instead_of(node, names)
        if done:
            _graphs.replace_nodes(graph, nodes)
    return model, done


def _first(node: Any, edit: Edit, rules: Mapping[str, list[Rule]]) -> Sequence[str] | None:
    for rule in rules.get(node.op_type, ()):
        edit.made = []
        names = rule(node, edit)
        if names is not None:
            return names
    return None
