"""Loops written out, where the number of their steps is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from workers.models import _graphs
from workers.models.rewrites.edit import Edit

__all__ = ["MOST_NODES", "MOST_STEPS", "RULES"]

#: Nodes that all steps of one loop may make together.
MOST_NODES = 50_000
#: Steps of a loop.
MOST_STEPS = 10_000


def _inlined(edit: Edit, graph: Any, given: Mapping[str, str]) -> list[str]:
    """Add the nodes of a body; return the names of its outputs. `given` names its inputs."""
    names = dict(given)
    for tensor in graph.initializer:
        names[tensor.name] = edit.store(numpy_helper.to_array(tensor))
    for node in graph.node:
        made = onnx.NodeProto()
        made.CopyFrom(node)
        fresh = {name: edit.fresh(node.op_type) for name in node.output if name}
        _rename(made, names)
        del made.output[:]
        made.output.extend(fresh.get(name, "") for name in node.output)
        made.name = next(iter(fresh.values()), made.name)
        edit.made.append(made)
        names.update(fresh)
    return [names.get(value.name, value.name) for value in graph.output]


def _rename(node: Any, names: Mapping[str, str]) -> None:
    for place, name in enumerate(node.input):
        node.input[place] = names.get(name, name)
    for attribute in node.attribute:
        for graph in [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs:
            own = {value.name for value in graph.input} | {t.name for t in graph.initializer}
            own |= {name for inner in graph.node for name in inner.output}
            outer = {old: new for old, new in names.items() if old not in own}
            for inner in graph.node:
                _rename(inner, outer)
            for value in graph.output:
                value.name = outer.get(value.name, value.name)


def _known(edit: Edit, name: str) -> npt.NDArray[Any] | None:
    """Return a value that the nodes made so far compute from constants alone, or None."""
    direct = edit.constant(name)
    if direct is not None:
        return direct
    makers = {output: node for node in edit.made for output in node.output}
    needed: list[Any] = []
    constants: dict[str, npt.NDArray[Any]] = {}
    waiting, seen = [name], set()
    while waiting:
        current = waiting.pop()
        if current in seen or not current:
            continue
        seen.add(current)
        value = edit.constant(current)
        if value is not None:
            constants[current] = value
        elif current in makers:
            node = makers[current]
            if any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute):
                return None
            if node not in needed:
                needed.append(node)
            waiting += node.input
        else:
            return None
    order = [node for node in edit.made if node in needed]
    graph = helper.make_graph(
        order,
        "constant",
        [],
        [onnx.ValueInfoProto(name=name)],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", edit.opset)])
    try:
        return np.asarray(ReferenceEvaluator(model).run(None, {})[0])
    except Exception:  # whatever the evaluator lacks is not known, then
        return None


def _loop(node: Any, edit: Edit) -> list[str] | None:
    body = _graphs.attribute(node, "body")
    trips, going = edit.constant(edit.input(node, 0)), edit.constant(edit.input(node, 1))
    if (edit.input(node, 0) and trips is None) or (edit.input(node, 1) and going is None):
        return None
    most = int(trips.ravel()[0]) if trips is not None else MOST_STEPS
    carried = list(node.input[2:])
    scans: list[list[str]] = [[] for _ in range(len(body.output) - 1 - len(carried))]
    step, on = 0, going is None or bool(going.ravel()[0])
    while on and step < most:
        values = [edit.store(np.int64(step)), edit.store(np.bool_(True)), *carried]
        outputs = _inlined(edit, body, dict(zip((v.name for v in body.input), values, strict=True)))
        carried = outputs[1 : 1 + len(carried)]
        for column, name in zip(scans, outputs[1 + len(carried) :], strict=True):
            column.append(name)
        further = _known(edit, outputs[0])
        if further is None or len(edit.made) > MOST_NODES:
            return None
        on, step = bool(further.ravel()[0]), step + 1
    if trips is None and step == most:
        return None
    if not step and scans:
        return None  # empty, of sizes that are not known
    return [*carried, *(_stacked(edit, column, 0) for column in scans)]


def _stacked(edit: Edit, names: list[str], axis: int) -> str:
    if edit.opset >= 13:
        at = edit.integers([axis])
        rows = [edit.emit("Unsqueeze", [name, at]) for name in names]
    else:
        rows = [edit.emit("Unsqueeze", [name], axes=[axis]) for name in names]
    return str(edit.emit("Concat", rows, axis=axis))


def _scan(node: Any, edit: Edit) -> list[str] | None:
    body = _graphs.attribute(node, "body")
    count = int(_graphs.attribute(node, "num_scan_inputs"))
    states, scanned = list(node.input[:-count]), list(node.input[-count:])
    axes = list(_graphs.attribute(node, "scan_input_axes") or [0] * count)
    backward = list(_graphs.attribute(node, "scan_input_directions") or [0] * count)
    shape = edit.shape(scanned[0])
    outputs = len(body.output) - len(states)
    out_axes = list(_graphs.attribute(node, "scan_output_axes") or [0] * outputs)
    out_backward = list(_graphs.attribute(node, "scan_output_directions") or [0] * outputs)
    if edit.opset < 9 or shape is None or any(axis < 0 for axis in (*axes, *out_axes)):
        return None
    length = shape[axes[0]]
    columns: list[list[str]] = [[] for _ in range(outputs)]
    for step in range(length):
        entries = [
            edit.emit("Gather", [name, edit.store(np.int64(length - 1 - step if back else step))], axis=axis)
            for name, axis, back in zip(scanned, axes, backward, strict=True)
        ]
        given = dict(zip((v.name for v in body.input), [*states, *entries], strict=True))
        made = _inlined(edit, body, given)
        states = made[: len(states)]
        for column, name in zip(columns, made[len(states) :], strict=True):
            column.append(name)
        if len(edit.made) > MOST_NODES:
            return None
    stacked = [
        _stacked(edit, column[::-1] if back else column, axis)
        for column, axis, back in zip(columns, out_axes, out_backward, strict=True)
    ]
    return [*states, *stacked]


RULES = {"Loop": _loop, "Scan": _scan}
