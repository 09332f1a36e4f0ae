"""Choices between branches whose results have different sizes: all that follows is computed for both."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper

from workers.models import _graphs

__all__ = ["split_choices"]

#: Nodes behind a choice that are written twice, at most.
MOST_NODES = 2_000


def split_choices(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """Return a model in which what follows such an ``If`` is there once for each branch.

    The outputs are chosen at the end, where both have one shape again (apache/tvm 18946). A choice between
    equal shapes is left to the rules, and one whose outputs leave the model is left as it is.
    """
    count = 0
    while True:
        inferred = _graphs.infer_shapes(model)
        node = next((n for n in inferred.graph.node if n.op_type == "If" and _differs(n)), None)
        made = None if node is None else _split(model, node.output[0])
        if made is None:
            break
        model, count = made, count + 1
    return model, [f"computed what follows {count} If for both branches"] if count else []


def _shape(value: Any) -> list[Any]:
    return [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim]


def _branches(node: Any) -> tuple[Any, Any]:
    return _graphs.attribute(node, "then_branch"), _graphs.attribute(node, "else_branch")


def _differs(node: Any) -> bool:
    yes, no = (
        {value.name: value for value in (*branch.output, *branch.value_info)} for branch in _branches(node)
    )
    return any(
        _shape(yes[a.name]) != _shape(no[b.name])
        for a, b in zip(*(branch.output for branch in _branches(node)), strict=True)
    )


def _split(model: onnx.ModelProto, output: str) -> onnx.ModelProto | None:
    graph = model.graph
    choice = next(node for node in graph.node if output in node.output)
    behind, names = [], set(choice.output)
    for node in graph.node:
        inner = {name for g in _graphs.graphs_of(node) for n in g.node for name in n.input}
        if names & (set(node.input) | inner):
            behind.append(node)
            names.update(node.output)
            if inner & names:
                return None
    ends = [value.name for value in graph.output if value.name in names]
    if len(behind) > MOST_NODES or set(ends) & set(choice.output):
        return None
    nodes = [node for node in graph.node if node not in behind and node is not choice]
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for mark, branch in zip(("then", "else"), _branches(choice), strict=True):
        own = {name: f"{name}/{mark}" for node in branch.node for name in node.output}
        own |= {tensor.name: f"{tensor.name}/{mark}" for tensor in branch.initializer}
        for tensor in branch.initializer:
            kept = made.graph.initializer.add()
            kept.CopyFrom(tensor)
            kept.name = own[tensor.name]
        nodes += [_renamed(node, own, mark) for node in branch.node]
        after = {name: f"{name}/{mark}" for node in behind for name in node.output}
        results = zip(choice.output, branch.output, strict=True)
        after |= {old: own.get(value.name, value.name) for old, value in results}
        nodes += [_renamed(node, after, mark) for node in behind]
    nodes += [
        helper.make_node("Where", [choice.input[0], f"{name}/then", f"{name}/else"], [name], name=name)
        for name in ends
    ]
    _graphs.replace_nodes(made.graph, nodes)
    return made


def _renamed(node: Any, names: dict[str, str], mark: str) -> Any:
    made = onnx.NodeProto()
    made.CopyFrom(node)
    made.name = f"{node.name}/{mark}" if node.name else ""
    for values in (made.input, made.output):
        for place, name in enumerate(values):
            values[place] = names.get(name, name)
    return made
