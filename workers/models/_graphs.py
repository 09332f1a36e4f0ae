"""Walking an ONNX model, the graphs inside its nodes included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper

__all__ = [
    "STANDARD_DOMAINS",
    "attribute",
    "attributes",
    "constant_nodes",
    "constants",
    "drop_unread",
    "graphs",
    "graphs_of",
    "infer_shapes",
    "nested",
    "nodes",
    "nodes_within",
    "operator_counts",
    "opset",
    "reads",
    "replace_nodes",
    "shapes_and_types",
    "tensors",
    "title",
]

STANDARD_DOMAINS = ("", "ai.onnx")


def graphs_of(node: Any) -> Iterator[Any]:
    """The graphs that are a node's attributes; those within them are not entered."""
    for attr in node.attribute:
        if attr.type == onnx.AttributeProto.GRAPH:
            yield attr.g
        yield from attr.graphs


def _direct_subgraphs(holder: Any) -> Iterator[Any]:
    for node in holder.node:
        yield from graphs_of(node)


def nested(graph: Any) -> Iterator[Any]:
    """A graph, then every graph inside its nodes, depth first."""
    yield graph
    for inner in _direct_subgraphs(graph):
        yield from nested(inner)


def graphs(model: onnx.ModelProto) -> Iterator[Any]:
    """The model's graph, then every graph inside a node (branches, loop bodies), depth first."""
    yield from nested(model.graph)


def _names_read(graph: Any) -> set[str]:
    return {name for inner in nested(graph) for node in inner.node for name in node.input}


def _lend_constants(graph: Any, outer: dict[str, Any]) -> None:
    constants = {**outer, **{tensor.name: tensor for tensor in graph.initializer}}
    for inner in _direct_subgraphs(graph):
        own = {tensor.name for tensor in inner.initializer}
        lent = sorted((_names_read(inner) & constants.keys()) - own)
        _lend_constants(inner, constants)
        inner.initializer.extend(constants[name] for name in lent)


def infer_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model with the types and shapes of its values written in, inside branches as well."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    # Inference sees no constant of an outer graph from within a branch, so that the first Unsqueeze there
    # ends it. In this copy every branch gets its own.
    _lend_constants(copied.graph, {})
    inferred = onnx.shape_inference.infer_shapes(copied, data_prop=True)
    shapes = {value.name: value for graph in graphs(inferred) for value in graph.value_info}
    outputs = {value.name: value for value in inferred.graph.output}
    copied.CopyFrom(model)
    for graph in graphs(copied):
        del graph.value_info[:]
        graph.value_info.extend(
            shapes[name]
            for node in graph.node
            for name in node.output
            if name in shapes and name not in outputs
        )
    for value in copied.graph.output:
        value.CopyFrom(outputs[value.name])
    for inner, known in zip(list(graphs(copied))[1:], list(graphs(inferred))[1:], strict=True):
        for value, found in zip(inner.output, known.output, strict=True):
            value.CopyFrom(found)
    return copied


def nodes(model: onnx.ModelProto) -> Iterator[Any]:
    """Every node of every graph of the model; local functions are not entered."""
    for graph in graphs(model):
        yield from graph.node


def nodes_within(node: Any) -> Iterator[Any]:
    """Every node of the graphs that are a node's attributes, depth first."""
    for inner in graphs_of(node):
        for graph in nested(inner):
            yield from graph.node


def tensors(model: onnx.ModelProto) -> Iterator[Any]:
    """Every tensor stored in the model: initializers, sparse ones, attributes, those of functions as well."""
    found = list(graphs(model))
    for function in model.functions:
        found.extend(inner for outer in _direct_subgraphs(function) for inner in nested(outer))
    for graph in found:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield sparse.values
            yield sparse.indices
    for holder in (*found, *model.functions):
        for node in holder.node:
            for attr in node.attribute:
                if attr.type == onnx.AttributeProto.TENSOR:
                    yield attr.t
                yield from attr.tensors


def title(node: Any) -> str:
    """A node's name for people; by its first output where it has none."""
    if node.name:
        return f"'{node.name}'"
    return f"that makes '{node.output[0]}'" if node.output else "without a name"


def reads(node: Any) -> set[str]:
    """Return the names that a node reads, those from within its graphs included."""
    names = {name for name in node.input if name}
    for inner in graphs_of(node):
        for graph in nested(inner):
            names |= {name for one in graph.node for name in one.input if name}
            names |= {value.name for value in graph.output}
    return names


def constants(model: onnx.ModelProto) -> dict[str, Any]:
    """The tensors of all graphs that depend on no input, by their names: stored, or ``Constant`` nodes."""
    found: dict[str, Any] = {}
    for graph in graphs(model):
        found.update({tensor.name: tensor for tensor in graph.initializer})
        found.update(constant_nodes(graph))
    return found


def shapes_and_types(model: onnx.ModelProto) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """What a model says of its values, after :func:`infer_shapes`.

    Returns
    -------
    shapes : dict of str to tuple of int
        Of every value whose sizes are all known.
    types : dict of str to int
        Element types, as ``onnx.TensorProto`` numbers them.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    types: dict[str, int] = {}
    for graph in graphs(model):
        for value in (*graph.input, *graph.value_info, *graph.output):
            tensor = value.type.tensor_type
            if value.type.WhichOneof("value") != "tensor_type":
                continue
            types[value.name] = int(tensor.elem_type)
            dims = tensor.shape.dim
            if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
                shapes[value.name] = tuple(int(dim.dim_value) for dim in dims)
    return shapes, types


def constant_nodes(graph: Any) -> dict[str, Any]:
    """The tensors that the graph's ``Constant`` nodes make, by their names."""
    found: dict[str, Any] = {}
    for node in graph.node:
        if node.op_type != "Constant" or not node.output:
            continue
        for attr in node.attribute:
            value = onnx.helper.get_attribute_value(attr)
            if attr.name == "value":
                found[node.output[0]] = value
            elif attr.name in ("value_float", "value_floats"):
                found[node.output[0]] = onnx.numpy_helper.from_array(np.asarray(value, np.float32))
            elif attr.name in ("value_int", "value_ints"):
                found[node.output[0]] = onnx.numpy_helper.from_array(np.asarray(value, np.int64))
    return found


def attribute(node: Any, name: str, default: Any = None) -> Any:
    """Value of a node's attribute, or ``default`` where it is not set."""
    for attr in node.attribute:
        if attr.name == name:
            return onnx.helper.get_attribute_value(attr)
    return default


def attributes(node: Any, *without: str) -> dict[str, Any]:
    """The values of a node's attributes by their names, but for some."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute if a.name not in without}


def replace_nodes(graph: Any, made: Iterable[Any]) -> None:
    """Give a graph other nodes, in place; its own may be among them."""
    # What is deleted from a message must not be read any more.
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in made]
    del graph.node[:]
    graph.node.extend(kept)


def drop_unread(graph: Any, given: Collection[str]) -> None:
    """Drop what is stored and no node reads, in place; what is named in `given` stays."""
    read = _names_read(graph)
    kept = [one for one in graph.initializer if one.name in read or one.name in given]
    if len(kept) < len(graph.initializer):
        copies = [onnx.TensorProto.FromString(one.SerializeToString()) for one in kept]
        del graph.initializer[:]
        graph.initializer.extend(copies)


def opset(model: onnx.ModelProto) -> int:
    """Version of the standard operators that the model asks for; 1 where it says none, as ONNX rules."""
    return next((int(o.version) for o in model.opset_import if o.domain in STANDARD_DOMAINS), 1)


def operator_counts(model: onnx.ModelProto) -> Counter[str]:
    """How many nodes there are of each operator; ``Constant`` is left out, being data rather than work."""
    return Counter(node.op_type for node in nodes(model) if node.op_type != "Constant")
