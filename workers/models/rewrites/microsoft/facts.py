"""Shapes and types of a model's values, without its weights."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper

from workers.models import _graphs

__all__ = ["known_values"]

# Entries of a constant that may say a shape; larger ones are weights, of which inference needs the sizes.
_MOST = 256


def _entries(dims: Any) -> int:
    product = 1
    for size in dims:
        product *= int(size)
    return product


def _light(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which large constants of the outer graph are inputs."""
    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    graph = light.graph
    graph.name = model.graph.name
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    large = [tensor for tensor in model.graph.initializer if _entries(tensor.dims) > _MOST]
    graph.initializer.extend(t for t in model.graph.initializer if _entries(t.dims) <= _MOST)
    for node in model.graph.node:
        tensor = _graphs.attribute(node, "value") if node.op_type == "Constant" else None
        if tensor is not None and _entries(tensor.dims) > _MOST:
            graph.input.append(helper.make_tensor_value_info(node.output[0], tensor.data_type, tensor.dims))
        else:
            graph.node.append(node)
    graph.input.extend(helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in large)
    return light


def known_values(model: onnx.ModelProto) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Infer what can be without knowing what ``com.microsoft``'s operators do.

    Returns
    -------
    shapes : dict of str to tuple of int
        Of every value whose sizes are all known.
    types : dict of str to int
        Element types, as ``onnx.TensorProto`` numbers them.
    """
    inferred = _graphs.infer_shapes(_light(model))
    shapes: dict[str, tuple[int, ...]] = {}
    types: dict[str, int] = {}
    for graph in _graphs.graphs(inferred):
        for value in (*graph.input, *graph.value_info, *graph.output):
            tensor = value.type.tensor_type
            if value.type.WhichOneof("value") != "tensor_type":
                continue
            types[value.name] = int(tensor.elem_type)
            dims = tensor.shape.dim
            if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
                shapes[value.name] = tuple(int(dim.dim_value) for dim in dims)
    return shapes, types
