"""Random weights for models that were published without theirs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from workers.models import _graphs

__all__ = ["with_random_weights"]

_FLOATS = {onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE}

# How a node's input at a position is used, for the operators whose weights have a scale of their own.
_BATCH_NORM_ROLES = {1: "scale", 2: "shift", 3: "shift", 4: "variance"}

# Only the shape is changed between the weight and the operator that uses it.
_PASSING = {"Unsqueeze", "Squeeze", "Reshape", "Identity", "Flatten", "Transpose"}

# A block's branch that is added to its input: damped, or the sum would double its variance at each of a network's
# dozens of blocks, and saturate the softmax at the end. (De and Smith 2020, "Batch normalization biases residual
# blocks towards the identity function".)
_RESIDUAL_SCALE = 0.3

_ADDING = {"Add", "Sum"}


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


def _he(generator: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> npt.NDArray[Any]:
    # He et al. 2015: keeps the variance of activations through a ReLU.
    return generator.normal(0.0, np.sqrt(2.0 / max(fan_in, 1)), shape)


def _values(
    generator: np.random.Generator, shape: tuple[int, ...], use: tuple[Any, int] | None, readers: _Readers
) -> npt.NDArray[Any]:
    small = generator.normal(0.0, 0.05, shape)
    if use is None:
        return small
    node, place = use
    if node.op_type in ("Conv", "ConvTranspose") and place == 1:
        return _he(generator, shape, int(np.prod(shape[1:])))
    if node.op_type == "Gemm" and place == 1:
        return _he(generator, shape, shape[1] if _graphs.attribute(node, "transB", 0) else shape[0])
    if node.op_type == "MatMul" and len(shape) > 1:
        return _he(generator, shape, shape[-2])
    if node.op_type == "BatchNormalization":
        role = _BATCH_NORM_ROLES.get(place, "shift")
        if role == "variance":
            return generator.uniform(0.5, 1.5, shape)
        if role == "scale":
            damped = any(reader.op_type in _ADDING for reader, _ in readers.of(node.output[0]))
            return generator.uniform(0.8, 1.2, shape) * (_RESIDUAL_SCALE if damped else 1.0)
    if node.op_type == "Mul":
        return generator.uniform(0.8, 1.2, shape)
    return small


def _shape_of(node: Any, constants: Mapping[str, Any]) -> tuple[int, ...] | None:
    given = constants.get(node.input[0])
    return None if given is None else tuple(int(size) for size in numpy_helper.to_array(given))


def with_random_weights(model: onnx.ModelProto, seed: int = 0) -> onnx.ModelProto:
    """Replace weights that are one constant repeated by random ones.

    The ``light`` models in the onnx package have real architectures, and ``ConstantOfShape`` in place of weights: with
    those any result looks right. The random weights are scaled so that activations neither vanish nor explode.

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
        shape = _shape_of(node, constants) if node.op_type == "ConstantOfShape" and element in _FLOATS else None
        if shape is None:
            kept.append(copy.deepcopy(node))
            continue
        values = _values(generator, shape, readers.use(node.output[0]), readers)
        dtype = helper.tensor_dtype_to_np_dtype(element)
        graph.initializer.append(numpy_helper.from_array(values.astype(dtype), node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)
    _drop_unread(model)
    return model


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
