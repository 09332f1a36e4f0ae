"""The rules, applied until no operator of ``com.microsoft`` is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from workers.errors import ModelError
from workers.models import _graphs
from workers.models.rewrites.edit import Edit
from workers.models.rewrites.microsoft import (
    activations,
    attention,
    convolutions,
    embedding,
    grouped,
    norms,
    packed,
    positions,
    products,
    quantized,
    recurrent,
    renamed,
)
from workers.models.rewrites.microsoft.facts import known_values

__all__ = ["as_onnxruntime_has_it", "holds", "known", "set_apart", "write_out"]

_DOMAIN = "com.microsoft"

#: Returns the names that take the place of the node's outputs, an empty one where nothing reads it; or None
#: where what it has to know of the node's inputs isn't known yet.
Rule = Callable[[Any, Edit], Sequence[str] | None]

_MODULES = (
    activations,
    attention,
    convolutions,
    embedding,
    grouped,
    norms,
    packed,
    positions,
    products,
    quantized,
    recurrent,
    renamed,
)
_RULES: dict[str, Rule] = {name: rule for module in _MODULES for name, rule in module.RULES.items()}

# onnxruntime has these in the standard's domain for models of any opset, the standard from these on.
_NEVER = 1 << 30
_EARLY = {"LayerNormalization": 17, "SimplifiedLayerNormalization": _NEVER}
# A model of one of these opsets is one of the last of them as well, but for RoiAlign's default mode and the
# outputs of a BatchNormalization that trains.
_ALIKE = (13, 17)
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)


def known(node: Any) -> bool:
    """Say whether a node is one that can be written out."""
    return node.domain == _DOMAIN and node.op_type in _RULES


def holds(model: onnx.ModelProto) -> bool:
    """Say whether there is anything to write out."""
    return any(known(node) for node in _graphs.nodes(model))


def set_apart(model: onnx.ModelProto) -> None:
    """Move what the standard's domain doesn't have at the model's opset into onnxruntime's own, in place.

    That domain is declared where it wasn't, which onnxruntime's tools for transformers leave out.
    """
    version, used = _graphs.opset(model), False
    for node in _graphs.nodes(model):
        if node.domain in _graphs.STANDARD_DOMAINS and version < _EARLY.get(node.op_type, 0):
            node.domain = _DOMAIN
        used = used or node.domain == _DOMAIN
    if used and not any(one.domain == _DOMAIN for one in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))


def as_onnxruntime_has_it(model: onnx.ModelProto) -> None:
    """Undo :func:`set_apart`, in place."""
    for node in _graphs.nodes(model):
        if node.domain == _DOMAIN and node.op_type in _EARLY:
            node.domain = ""


def write_out(model: onnx.ModelProto, path: Path) -> list[str]:
    """Write every operator that is known here in standard ones, in place.

    Parameters
    ----------
    model : onnx.ModelProto
        With fixed input shapes.
    path : Path
        For messages.

    Returns
    -------
    list of str
        One sentence, where there was any.

    Raises
    ------
    ModelError
        A node asks for what nothing here can give, or its inputs' shapes depend on what can't be known.
    """
    if not holds(model):
        return []
    _raise_opset(model)
    counts: Counter[str] = Counter()
    while holds(model):
        try:
            done = _round(model, fold=False) or _round(model, fold=True)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None
        except onnx.shape_inference.InferenceError as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"{path}: the shapes in the model contradict each other: {reason}") from None
        if not done:
            node = next(node for node in _graphs.nodes(model) if known(node))
            raise ModelError(
                f"{path}: {node.op_type} of domain '{_DOMAIN}' (node {_graphs.title(node)}) can't be "
                "imported, since the shapes of what it reads can't be told without running the model; "
                "export the model with fixed input shapes, or save it without optimizations"
            )
        counts.update(done)
    listed = ", ".join(f"{count} {operator}" for operator, count in sorted(counts.items()))
    return [f"wrote out operators of onnxruntime's own: {listed}"]


def _raise_opset(model: onnx.ModelProto) -> None:
    """Call a model one of the opset that has LayerNormalization, where that changes nothing else."""
    first, last = _ALIKE
    version = _graphs.opset(model)
    changed = any(
        node.op_type == "RoiAlign" or (node.op_type == "BatchNormalization" and len(node.output) > 1)
        for node in _graphs.nodes(model)
    )
    if first <= version < last and not changed:
        for one in model.opset_import:
            if one.domain in _graphs.STANDARD_DOMAINS:
                one.version = last


def _round(model: onnx.ModelProto, *, fold: bool) -> Counter[str]:
    done: Counter[str] = Counter()
    shapes, types = known_values(model, fold=fold)
    constants = _graphs.constants(model)
    version = _graphs.opset(model)
    for graph in list(_graphs.graphs(model)):
        edit = Edit(graph, shapes, types, constants, version)
        nodes: list[Any] = []
        for node in graph.node:
            edit.made = []
            names = _RULES[node.op_type](node, edit) if known(node) else None
            if names is None:
                nodes.append(node)
                continue
            done[node.op_type] += 1
            nodes += edit.instead_of(node, names)
            # What reads it may be written in this round, too.
            if node.op_type in quantized.WHOLE:
                continue
            kinds = [edit.type(name) for name in node.input if name]
            types.setdefault(node.output[0], next((kind for kind in kinds if kind in _FLOATS), 0))
        if nodes and done:
            _graphs.replace_nodes(graph, nodes)
    return done
