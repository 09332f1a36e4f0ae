"""Models of old opsets, in the form that TVM's frontend reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.version_converter
from onnx import helper, numpy_helper

from workers.models import _graphs, _mapped

__all__ = ["is_old", "raised"]

# TVM's frontend has most operators as of this one, and takes them for what it has nearest: where they were
# attributes, as the limits of Slice up to opset 9, it looks for inputs.
_READ_RIGHT = 13
# Converted without their meaning: up to opset 10 they count from the corner, later from the centre.
_RESIZING = ("Resize", "Upsample")


def is_old(model: onnx.ModelProto) -> bool:
    """Say whether a model is of an opset that :func:`raised` raises."""
    return _graphs.opset(model) < _READ_RIGHT


def raised(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """Return a model of an opset before 13 as one of 13, and one sentence that says so.

    The model that was given, and none, where it isn't older, or where a node has no newer form. Whether the
    outcome computes the same is for the caller to find out.
    """
    version = _graphs.opset(model)
    if not is_old(model):
        return model, []
    copied = _mapped.with_weights_as_inputs(model)
    resized = {
        node.output[0]: _graphs.attribute(node, "mode", b"nearest")
        for node in _graphs.nodes(copied)
        if node.op_type in _RESIZING
    }
    if version < 11 and not all(_enlarges(node, copied) for node in _graphs.nodes(copied)):
        return model, []
    try:
        newer = onnx.version_converter.convert_version(copied, _READ_RIGHT)
    except Exception:  # it raises what it likes, and there is the old form to go on with
        return model, []
    _mapped.with_weights_back(newer, model)
    for node in _graphs.nodes(newer):
        if version < 11 and node.op_type == "Resize" and node.output[0] in resized:
            del node.attribute[:]
            node.attribute.extend(
                [
                    helper.make_attribute("mode", resized[node.output[0]].replace(b"bilinear", b"linear")),
                    helper.make_attribute("coordinate_transformation_mode", "asymmetric"),
                    helper.make_attribute("nearest_mode", "floor"),
                ]
            )
    return newer, [f"raised from opset {version} to {_READ_RIGHT}"]


def _enlarges(node: Any, model: onnx.ModelProto) -> bool:
    """Say whether a node is another, or doesn't make smaller: there old ones round another way."""
    if node.op_type not in _RESIZING:
        return True
    scales = _graphs.attribute(node, "scales")
    if scales is None:
        stored = {tensor.name: tensor for tensor in model.graph.initializer}
        stored.update(_graphs.constant_nodes(model.graph))
        tensor = stored.get(node.input[1]) if len(node.input) > 1 else None
        if tensor is None:
            return False
        scales = numpy_helper.to_array(tensor)
    return bool((np.asarray(scales) >= 1).all())
