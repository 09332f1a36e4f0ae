"""A model that shows all that it computes on the way."""

from __future__ import annotations

from dataclasses import replace

import onnx

from workers.messages import PreparedModel, TensorSpec
from workers.models import _graphs

__all__ = ["expose", "maker_of"]


def expose(model: PreparedModel) -> PreparedModel:
    """Return a model whose outputs are those of all its nodes, in the order in which they are computed.

    Those of unknown size are left out, and those of branches' own nodes.
    """
    graph = _graphs.infer_shapes(onnx.load_from_string(model.onnx))
    known = {value.name: value for value in (*graph.graph.value_info, *graph.graph.output)}
    shown = []
    for node in graph.graph.node:
        for name in node.output:
            value = known.get(name)
            if value is None or value.type.WhichOneof("value") != "tensor_type":
                continue
            tensor = value.type.tensor_type
            if tensor.elem_type and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
                shown.append(value)
    values = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in shown]
    del graph.graph.output[:]
    graph.graph.output.extend(values)
    specs = tuple(
        TensorSpec(
            value.name,
            tuple(int(dim.dim_value) for dim in value.type.tensor_type.shape.dim),
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
        )
        for value in values
    )
    return replace(model, onnx=graph.SerializeToString(deterministic=True), outputs=specs)


def maker_of(model: PreparedModel, output: str) -> str:
    """Say which node makes a value: its operator, and its name."""
    graph = onnx.load_from_string(model.onnx).graph
    node = next(node for node in graph.node if output in node.output)
    return f"{node.op_type} (node {_graphs.title(node)})"
