"""What training left in the graph and inference has no use for."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from workers.models import _graphs

__all__ = ["drop_dropout"]


def _trains(node: Any, constants: dict[str, bool]) -> bool:
    # Up to opset 6 an attribute says so, from opset 12 on an input.
    if _graphs.attribute(node, "is_test", 1) == 0:
        return True
    mode = node.input[2] if len(node.input) > 2 else ""
    return bool(mode) and constants.get(mode, True)


def _mask_used(node: Any, read: set[str]) -> bool:
    return len(node.output) > 1 and node.output[1] in read


def drop_dropout(model: onnx.ModelProto) -> None:
    """Turn every Dropout that does nothing at inference into an Identity, in place.

    Simplifiers remove most of both. A Dropout they leave, such as one that makes an output of the model, has
    two outputs for TVM, and its layout conversion stops at that tuple; an Identity is harmless.
    """
    constants: dict[str, bool] = {}
    read: set[str] = set()
    for graph in _graphs.graphs(model):
        for tensor in graph.initializer:
            if tensor.data_type == onnx.TensorProto.BOOL:
                constants[tensor.name] = bool(np.any(onnx.numpy_helper.to_array(tensor)))
        read.update(value.name for value in graph.output)
        for node in graph.node:
            read.update(node.input)
            value = _graphs.attribute(node, "value") if node.op_type == "Constant" else None
            if value is not None and value.data_type == onnx.TensorProto.BOOL:
                constants[node.output[0]] = bool(np.any(onnx.numpy_helper.to_array(value)))
    for node in _graphs.nodes(model):
        if node.op_type == "Dropout" and not _trains(node, constants) and not _mask_used(node, read):
            node.op_type = "Identity"
            del node.input[1:]
            del node.output[1:]
            del node.attribute[:]
