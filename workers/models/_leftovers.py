"""What training left in the graph and inference has no use for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from workers.errors import ModelError
from workers.models import _graphs

__all__ = ["drop_dropout", "refuse_training"]


def _trains(node: Any, constants: dict[str, bool]) -> bool:
    # Up to opset 6 an attribute says so, from opset 12 on an input.
    if _graphs.attribute(node, "is_test", 1) == 0:
        return True
    mode = node.input[2] if len(node.input) > 2 else ""
    return bool(mode) and constants.get(mode, True)


def _constant_flags(model: onnx.ModelProto) -> dict[str, bool]:
    tensors = {tensor.name: tensor for graph in _graphs.graphs(model) for tensor in graph.initializer}
    for node in _graphs.nodes(model):
        if node.op_type == "Constant" and _graphs.attribute(node, "value") is not None:
            tensors[node.output[0]] = _graphs.attribute(node, "value")
    return {
        name: bool(np.any(numpy_helper.to_array(tensor)))
        for name, tensor in tensors.items()
        if tensor.data_type == onnx.TensorProto.BOOL
    }


def refuse_training(model: onnx.ModelProto, path: Path) -> None:
    """Refuse a model that was exported while it trained.

    Raises
    ------
    ModelError
        A Dropout is in training mode, or may be put into it by an input; or a BatchNormalization is.
    """
    flags = _constant_flags(model)
    for node in _graphs.nodes(model):
        if node.op_type == "BatchNormalization" and _graphs.attribute(node, "training_mode", 0):
            raise ModelError(
                f"{path}: BatchNormalization (node {_graphs.title(node)}) is in training mode, where it "
                "normalizes by the batch it is given; export the model in inference mode (eval())"
            )
        if node.op_type == "Dropout" and _trains(node, flags):
            raise ModelError(
                f"{path}: Dropout (node {_graphs.title(node)}) is in training mode, where it draws random "
                "numbers; export the model in inference mode"
            )


def drop_dropout(model: onnx.ModelProto) -> None:
    """Turn every Dropout into an Identity, in place; none may be in training mode.

    Simplifiers remove most of both. A Dropout they leave, such as one that makes an output of the model, has
    two outputs for TVM, and its layout conversion stops at that tuple; an Identity is harmless.
    """
    read = {name for node in _graphs.nodes(model) for name in node.input}
    read |= {value.name for graph in _graphs.graphs(model) for value in graph.output}
    for node in _graphs.nodes(model):
        if node.op_type == "Dropout" and not (len(node.output) > 1 and node.output[1] in read):
            node.op_type = "Identity"
            del node.input[1:]
            del node.output[1:]
            del node.attribute[:]
