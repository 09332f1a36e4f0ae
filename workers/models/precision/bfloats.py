"""A float32 model whose layers multiply bfloat16 numbers, and sum their products in float32.

No tool of onnxruntime's writes such a model. It takes little: what a layer reads is rounded by a pair of
Casts, as its weights are once and for all. So it means the same to whoever runs it, and an engine that has an
instruction for it finds the pairs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from workers.models import _graphs
from workers.models.precision.layers import Layer, layers_of, products_of

__all__ = ["dense_layers", "in_bfloats"]


def dense_layers(model: onnx.ModelProto) -> list[Layer]:
    """Return the layers that are faster so: those that sum over all channels, and attention's products."""
    grouped = {node.name for node in model.graph.node if _graphs.attribute(node, "group", 1) > 1}
    found = {layer.name: layer for layer in (*layers_of(model), *products_of(model))}
    return [found[node.name] for node in model.graph.node if node.name in found and node.name not in grouped]


def in_bfloats(model: onnx.ModelProto, layers: Collection[str]) -> onnx.ModelProto:
    """Return a model in which the layers of these names multiply bfloat16.

    Parameters
    ----------
    model : onnx.ModelProto
        Of :func:`.integers.ready`; of opset 13 at least, from which on Cast has the type.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    rounded: dict[str, str] = {}
    weights: dict[str, str] = {}
    nodes: list[Any] = []
    for node in graph.node:
        for place, name in enumerate(node.input[:2] if node.name in layers else ()):
            made_of = weights if name in stored else rounded
            if name not in made_of:
                made_of[name] = f"{name}_of_bfloat16"
                if name in stored:
                    graph.initializer.append(_rounded(stored[name], made_of[name]))
                else:
                    nodes.extend(_casts(name, made_of[name]))
            node.input[place] = made_of[name]
        nodes.append(node)
    _graphs.replace_nodes(graph, nodes)
    _graphs.drop_unread(graph, stored.keys() - weights.keys())
    return made


def _casts(data: str, out: str) -> Iterator[onnx.NodeProto]:
    between = f"{data}_in_bfloat16"
    yield helper.make_node("Cast", [data], [between], name=f"{between}_cast", to=TensorProto.BFLOAT16)
    yield helper.make_node("Cast", [between], [out], name=f"{out}_cast", to=TensorProto.FLOAT)


def _rounded(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    values = numpy_helper.to_array(tensor)
    return numpy_helper.from_array(values.astype(ml_dtypes.bfloat16).astype(np.float32), name)
