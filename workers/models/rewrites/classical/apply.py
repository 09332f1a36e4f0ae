"""The rules for ai.onnx.ml, applied before anything else looks at a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import onnx

from workers.models import _graphs
from workers.models.rewrites.classical import codes, features, linear, svm, trees
from workers.models.rewrites.classical.checked import difference
from workers.models.rewrites.classical.opsets import NEEDED, raised
from workers.models.rewrites.classical.table import DOMAIN, Left, Table

__all__ = ["write_out_classical"]

#: Returns the names that take the place of the node's outputs; None to leave it to others.
Rule = Callable[[Any, Table], Sequence[str] | None]

_RULES: dict[str, Rule] = {
    **codes.RULES,
    **features.RULES,
    **linear.RULES,
    **svm.RULES,
    **trees.RULES,
}


def write_out_classical(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """Return a model whose classical operators are tensor programs, and one sentence for each kind of change.

    Nested graphs are not looked into. An operator whose input is text stays, as does what onnxruntime itself
    leaves undefined.

    Parameters
    ----------
    model : onnx.ModelProto
        As read; its sizes may be open. It is not changed.
    """
    if not any(node.domain == DOMAIN for node in model.graph.node):
        return model, []
    written = onnx.ModelProto()
    later, before = raised(model)
    if _graphs.opset(later) < NEEDED:
        return model, [f"left operators of {DOMAIN}: opset {before} couldn't be converted to {NEEDED}"]
    written.CopyFrom(later)
    counts: Counter[str] = Counter()
    left: dict[str, str] = {}
    # What is known of a node's input may hang on what its maker is written as.
    while done := _round(written, left):
        counts.update(done)
    if not any(node.domain == DOMAIN for node in _graphs.nodes(written)):
        kept = [one for one in written.opset_import if one.domain != DOMAIN]
        del written.opset_import[:]
        written.opset_import.extend(kept)
    apart = difference(model, written) if counts else ""
    if apart:
        return model, [
            f"left operators of {DOMAIN}: written as tensor programs they computed something else: {apart}"
        ]
    changes = []
    if before < NEEDED and counts:
        changes.append(f"took its standard operators as those of opset {NEEDED}, not {before}")
    if counts:
        listed = ", ".join(f"{count} {operator}" for operator, count in sorted(counts.items()))
        changes.append(f"wrote classical operators as tensor programs: {listed}")
    changes += [f"left {node}: it {why}" for node, why in left.items()]
    return (written if counts else model), changes


def _round(model: onnx.ModelProto, left: dict[str, str]) -> Counter[str]:
    """Write out the nodes before which no other classical one is."""
    done: Counter[str] = Counter()
    graph = model.graph
    inferred = _graphs.infer_shapes(model)
    dims, types = _known(inferred.graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    constants.update(_graphs.constant_nodes(graph))
    versions = {one.domain: one.version for one in model.opset_import}
    edit = Table(graph, dims, types, constants, _graphs.opset(model), versions.get(DOMAIN, 1))
    given = set(constants)
    nodes: list[Any] = []
    # What is made by a node that is written now: its type is known when that is done.
    behind: set[str] = set()
    for node in graph.node:
        title = f"{node.op_type} (node {_graphs.title(node)})"
        names = None
        edit.made = []
        if behind & set(node.input):
            behind.update(node.output)
        elif node.domain == DOMAIN and node.op_type in _RULES and title not in left:
            names = _written(node, edit, title, left)
        if names is None:
            nodes.append(node)
            continue
        done[node.op_type] += 1
        behind.update(node.output)
        nodes += edit.instead_of(node, names)
    _graphs.replace_nodes(graph, nodes)
    # What was stored for a node that was left after all.
    _graphs.drop_unread(graph, given)
    return done


def _written(node: Any, edit: Table, title: str, left: dict[str, str]) -> Sequence[str] | None:
    try:
        return _RULES[node.op_type](node, edit)
    except Left as reason:
        left[title] = str(reason)
        return None


def _known(graph: Any) -> tuple[dict[str, tuple[int | None, ...]], dict[str, int]]:
    dims: dict[str, tuple[int | None, ...]] = {}
    types: dict[str, int] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if value.type.WhichOneof("value") != "tensor_type":
            continue
        types[value.name] = int(tensor.elem_type)
        if tensor.HasField("shape"):
            dims[value.name] = tuple(
                int(dim.dim_value) if dim.HasField("dim_value") and dim.dim_value > 0 else None
                for dim in tensor.shape.dim
            )
    return dims, types
