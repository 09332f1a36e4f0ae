"""Random weights for models that were published without theirs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from workers.models import _graphs

__all__ = ["with_random_weights"]

_FLOATS = {onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE}

# Position of BatchNormalization's variance among its inputs.
_VARIANCE = 4

# Only the shape is changed between the weight and the operator that uses it.
_PASSING = {"Unsqueeze", "Squeeze", "Reshape", "Identity", "Flatten", "Transpose"}

# Operators with a weight as their second input, which decides the size of what they put out.
_LAYERS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}

_SILENT = 4


class _Readers:
    """Who reads which value."""

    def __init__(self, graph: Any) -> None:
        self._readers: dict[str, list[tuple[Any, int]]] = {}
        for node in graph.node:
            for place, name in enumerate(node.input):
                self._readers.setdefault(name, []).append((node, place))

    def of(self, name: str) -> list[tuple[Any, int]]:
        return self._readers.get(name, [])

    def use(self, name: str) -> tuple[Any, int] | None:
        """The first operator that works with a value, behind those that only reshape it."""
        for node, place in self.of(name):
            if node.op_type in _PASSING and place == 0:
                return self.use(node.output[0])
            return node, place
        return None


def _values(
    generator: np.random.Generator, shape: tuple[int, ...], use: tuple[Any, int] | None
) -> npt.NDArray[Any]:
    operator, place = (use[0].op_type, use[1]) if use else ("", 0)
    if operator == "BatchNormalization" and place == _VARIANCE:
        return generator.uniform(0.5, 1.5, shape)
    if operator == "Mul" or (operator == "BatchNormalization" and place == 1):
        return generator.uniform(0.8, 1.2, shape)
    if operator in _LAYERS and place == 1:
        return generator.normal(0.0, 1.0, shape)
    # Biases large enough that a result without them is seen to be wrong.
    return generator.normal(0.0, 0.1, shape)


def _shape_of(node: Any, constants: Mapping[str, Any]) -> tuple[int, ...] | None:
    given = constants.get(node.input[0])
    return None if given is None else tuple(int(size) for size in numpy_helper.to_array(given))


def with_random_weights(model: onnx.ModelProto, seed: int = 0) -> onnx.ModelProto:
    """Replace weights that are one constant repeated by random ones.

    The ``light`` models in the onnx package have real architectures, and ``ConstantOfShape`` in place of
    weights: with those any result looks right. The random weights are scaled so that activations neither
    vanish nor explode.

    Parameters
    ----------
    model : onnx.ModelProto
        Left as it is.
    seed : int, optional
        The same seed and model give the same weights.

    Returns
    -------
    onnx.ModelProto
        A copy in which every float ``ConstantOfShape`` of known shape is an initializer.
    """
    model = copy.deepcopy(model)
    graph = model.graph
    generator = np.random.default_rng(seed)
    readers = _Readers(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    kept: list[Any] = []
    for node in graph.node:
        filled = _graphs.attribute(node, "value")
        element = onnx.TensorProto.FLOAT if filled is None else filled.data_type
        shape = (
            _shape_of(node, constants) if node.op_type == "ConstantOfShape" and element in _FLOATS else None
        )
        if shape is None:
            kept.append(copy.deepcopy(node))
            continue
        values = _values(generator, shape, readers.use(node.output[0]))
        dtype = helper.tensor_dtype_to_np_dtype(element)
        graph.initializer.append(numpy_helper.from_array(values.astype(dtype), node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)
    _drop_unread(model)
    _scale_layers(model, generator)
    return model


def _run_node(node: Any, values: Mapping[str, npt.NDArray[Any]], opset: int) -> list[npt.NDArray[Any]]:
    inputs = {name: values[name] for name in node.input if name}
    graph = helper.make_graph(
        [node],
        "one",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in inputs.items()
        ],
        [helper.make_empty_tensor_value_info(name) for name in node.output if name],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, inputs))


def _scale_layers(model: onnx.ModelProto, generator: np.random.Generator) -> None:
    """Scale each layer's weight so that it puts out values of variance 1 for a random input.

    Mishkin and Matas 2016, "All you need is a good init". A rule by the weight's shape alone would not do:
    pooling, sums and convolutions without an activation raise the variance a thousandfold over these
    networks.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    values = {name: numpy_helper.to_array(tensor) for name, tensor in stored.items()}
    for value in model.graph.input:
        tensor = value.type.tensor_type
        shape = tuple(dim.dim_value or 1 for dim in tensor.shape.dim)
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        values[value.name] = np.asarray(generator.uniform(-1.0, 1.0, shape)).astype(dtype)
    # Where a weight that was reshaped is stored.
    origins = {name: name for name in stored}
    for node in model.graph.node:
        outputs = _run_node(node, values, _graphs.opset(model))
        if node.op_type in _PASSING and node.input[0] in origins:
            origins[node.output[0]] = origins[node.input[0]]
        origin = origins.get(node.input[1], "") if node.op_type in _LAYERS else ""
        spread = float(np.std(outputs[0])) if origin else 0.0
        if spread > 0.0:
            for name in {origin, node.input[1]}:
                values[name] = (values[name] / spread).astype(values[name].dtype)
            stored[origin].CopyFrom(numpy_helper.from_array(values[origin], origin))
            outputs = _run_node(node, values, _graphs.opset(model))
        values.update(zip((name for name in node.output if name), outputs, strict=True))


def _drop_unread(model: onnx.ModelProto) -> None:
    """Drop initializers nothing reads any more, from the list of inputs too."""
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    read = {name for node in _graphs.nodes(model) for name in node.input}
    read |= {value.name for some in _graphs.graphs(model) for value in some.output}
    initializers = [copy.deepcopy(tensor) for tensor in graph.initializer if tensor.name in read]
    inputs = [copy.deepcopy(value) for value in graph.input if value.name not in stored]
    del graph.initializer[:]
    graph.initializer.extend(initializers)
    del graph.input[:]
    graph.input.extend(inputs)
    # Version 3 asked for every initializer among the inputs.
    model.ir_version = max(model.ir_version, 4)
