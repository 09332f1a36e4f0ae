"""The layers of a model that are of integers where it is quantized, and what each of them takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import onnx

from workers.models import _graphs

__all__ = ["OPERATORS", "Layer", "layers_of", "name_nodes"]

#: Operators whose time is in their multiplications: what lies between them is no slower in floats.
OPERATORS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class Layer:
    """A convolution, or a product with constant weights.

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
    """Return the layers of a model whose nodes are named and whose shapes are written in."""
    stored = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    shapes, _ = _graphs.shapes_and_types(model)
    found = []
    for node in model.graph.node:
        weights = stored.get(node.input[1]) if node.op_type in OPERATORS else None
        if weights is not None and node.input[0] not in stored and _is_image(node, weights):
            found.append(Layer(node.name, _work(node, weights, shapes.get(node.output[0], ()))))
    return found


def _is_image(node: Any, weights: tuple[int, ...]) -> bool:
    """Say whether the weights are such as the quantizer has scales of channels for."""
    return len(weights) >= (3 if node.op_type == "Conv" else 2)


def _work(node: Any, weights: tuple[int, ...], out: tuple[int, ...]) -> int:
    if node.op_type == "Conv":
        return math.prod(weights) * math.prod(out[:1]) * math.prod(out[2:])
    return math.prod(weights[-2:]) * math.prod(out[:-1])
