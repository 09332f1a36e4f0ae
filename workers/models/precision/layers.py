"""The layers of a model that are of integers where it is quantized, and what each of them takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx

from workers.enginekit.integers import MOST_SUMMED
from workers.models import _graphs

__all__ = ["OPERATORS", "Layer", "layers_of", "name_nodes", "products_of"]

#: Operators whose time is in their multiplications: what lies between them is no slower in floats.
OPERATORS = ("Conv", "Gemm", "MatMul")


# Rows of numbers go in pairs at least into an instruction that multiplies integers.
_PAIR = 2
# Axes of their weights.
_IMAGE, _MATRIX = 4, 2


@dataclass(frozen=True)
class Layer:
    """A convolution of images, or a product of matrices, the second of which mostly is constant.

    Attributes
    ----------
    name : str
        Its node's.
    work : int
        Multiplications.
    """

    name: str
    work: int


def name_nodes(model: onnx.ModelProto) -> None:
    """Give every node a name of its own, in place: the quantizer knows them by it."""
    seen: set[str] = set()
    for place, node in enumerate(model.graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{place}"
            while node.name in seen:
                node.name += "_"
        seen.add(node.name)


def layers_of(model: onnx.ModelProto) -> list[Layer]:
    """Return the layers of a model whose nodes are named and whose shapes are written in.

    Those alone that are faster with integers.
    """
    stored = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    shapes, _ = _graphs.shapes_and_types(model)
    found = []
    for node in model.graph.node:
        weights = stored.get(node.input[1]) if node.op_type in OPERATORS else None
        if weights is not None and node.input[0] not in stored and _is_of_integers(node, weights, shapes):
            found.append(Layer(node.name, _work(node, weights, shapes.get(node.output[0], ()))))
    return found


def products_of(model: onnx.ModelProto) -> list[Layer]:
    """Return the products of two computed matrices, as attention has them; see :func:`layers_of`.

    Those alone of which there are as many matrices on both sides.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    shapes, _ = _graphs.shapes_and_types(model)
    found = []
    for node in model.graph.node:
        if node.op_type != "MatMul" or stored & set(node.input):
            continue
        left, right = (shapes.get(name, ()) for name in node.input)
        if min(len(left), len(right)) >= _MATRIX and left[:-2] == right[:-2]:
            found.append(Layer(node.name, math.prod(left) * right[-1]))
    return found


def _is_of_integers(node: Any, weights: tuple[int, ...], shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Say whether an engine computes a layer with integers, as metaschedule does.

    Another is computed in floats also where it is quantized, and takes longer than before.
    """
    if node.op_type == "Conv":
        return len(weights) == _IMAGE and math.prod(weights[1:]) <= MOST_SUMMED
    if len(weights) != _MATRIX or len(shapes.get(node.input[0], weights)) < _MATRIX:
        return False
    # Where it is turned or scaled, what is multiplied is no longer what was rounded.
    if _graphs.attribute(node, "transA", 0) or _graphs.attribute(node, "alpha", 1.0) != 1.0:
        return False
    terms = weights[1 if _graphs.attribute(node, "transB", 0) else 0]
    return terms <= MOST_SUMMED and terms % _PAIR == 0


def _work(node: Any, weights: tuple[int, ...], out: tuple[int, ...]) -> int:
    if node.op_type == "Conv":
        return math.prod(weights) * math.prod(out[:1]) * math.prod(out[2:])
    return math.prod(weights) * math.prod(out[:-1])
