"""Shapes and types of a model's values, without its weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from workers.models import _graphs, _mapped

__all__ = ["known_values"]

# Entries of a constant that may say a shape; larger ones are weights, of which inference needs the sizes.
_MOST = 256
# What exporters compute sizes with.
_OF_SIZES = {
    *("Abs", "Add", "And", "Cast", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Floor"),
    *("Gather", "Greater", "Identity", "Less", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Range"),
    *("ReduceProd", "Reshape", "Slice", "Sqrt", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where"),
}


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


def _folded(light: onnx.ModelProto, shapes: dict[str, tuple[int, ...]]) -> bool:
    """Compute what sizes say of other sizes, in place; say whether there was anything."""
    graph, opsets = light.graph, {"": _graphs.opset(light)}
    values: dict[str, npt.NDArray[Any]] = {t.name: _mapped.array(t) for t in graph.initializer}
    values |= {name: numpy_helper.to_array(t) for name, t in _graphs.constant_nodes(graph).items()}
    left, found = [], False
    for node in graph.node:
        made: list[npt.NDArray[Any]] = []
        if node.op_type == "Shape" and node.input[0] in shapes:
            start, end = (_graphs.attribute(node, name) for name in ("start", "end"))
            made = [np.array(shapes[node.input[0]][start:end], np.int64)]
        elif node.op_type in _OF_SIZES and all(name in values for name in node.input if name):
            feeds = {name: values[name] for name in node.input if name}
            made = list(ReferenceEvaluator(node, opsets=opsets).run(None, feeds))
        if not made or any(value.size > _MOST for value in made):
            left.append(node)
            continue
        found = True
        for name, value in zip(node.output, made, strict=True):
            values[name] = np.asarray(value)
            graph.initializer.append(numpy_helper.from_array(values[name], name))
    _graphs.replace_nodes(graph, left)
    return found


def known_values(model: onnx.ModelProto, *, fold: bool) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Infer what can be without knowing what ``com.microsoft``'s operators do.

    Parameters
    ----------
    model : onnx.ModelProto
    fold : bool
        Compute sizes that the model computes, where onnx's own inference doesn't follow them.

    Returns
    -------
    shapes : dict of str to tuple of int
        Of every value whose sizes are all known.
    types : dict of str to int
        Element types, as ``onnx.TensorProto`` numbers them.
    """
    light = _light(model)
    shapes, types = _graphs.shapes_and_types(_graphs.infer_shapes(light))
    while fold and _folded(light, shapes):
        shapes, types = _graphs.shapes_and_types(_graphs.infer_shapes(light))
    return shapes, types
