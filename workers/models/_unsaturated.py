"""A model that onnxruntime computes as it is written, whatever the CPU.

Where a CPU has no dot products of bytes (VNNI), onnxruntime multiplies unsigned by signed ones with an
instruction whose sums of two saturate at 16 bits (its documentation asks for weights of 7 bits there).
Unsigned by unsigned ones it multiplies exactly: so signed weights, where they are constant, become unsigned
ones with their zero point moved along, which means the same. Its own setting for that
(``session.x64quantprecision``) does so for some operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from workers.models import _graphs, _mapped

__all__ = ["MARKS", "unsaturated"]

# Where the zero point of the left side, the weights and their zero point stand among an operator's inputs; -1
# where the left side is of floats.
_PRODUCTS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "QLinearConv": ((2, 3, 5),),
    "QLinearMatMul": ((2, 3, 5),),
    "QGemm": ((2, 3, 5),),
    "MatMulInteger": ((2, 1, 3),),
    "MatMulIntegerToFloat": ((4, 1, 5),),
    "ConvInteger": ((2, 1, 3),),
    "DynamicQuantizeMatMul": ((-1, 1, 3),),
    "QAttention": ((6, 1, 7),),
    "DynamicQuantizeLSTM": ((-1, 1, 9), (-1, 2, 11)),
}
#: What says in a model's bytes that there may be something to do.
MARKS = tuple(name.encode() for name in (*_PRODUCTS, "accuracy_level"))
_ACCURACY = "accuracy_level"
_SHIFT = 128


def unsaturated(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model in which nothing saturates and nothing is rounded that the model doesn't round.

    Packed weights are multiplied with the activations as they are, whatever accuracy the model says is
    enough. A model without either is returned as it is.
    """
    if not any(_PRODUCTS.get(node.op_type) or _level(node) for node in _graphs.nodes(model)):
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    constants = _graphs.constants(changed)
    moved: dict[str, str] = {}
    for node in _graphs.nodes(changed):
        if _level(node):
            kept = [one.SerializeToString() for one in node.attribute if one.name != _ACCURACY]
            del node.attribute[:]
            node.attribute.extend(map(onnx.AttributeProto.FromString, kept))
        for left, values, zero in _PRODUCTS.get(node.op_type, ()):
            side = constants.get(node.input[left]) if 0 <= left < len(node.input) else None
            if side is None or side.data_type != TensorProto.INT8:
                _make_unsigned(changed, node, values, zero, constants, moved)
    _drop(changed, moved)
    return changed


def _drop(model: onnx.ModelProto, moved: Mapping[str, str]) -> None:
    """Remove what nothing reads any more: onnxruntime does too, and then misses what it is to fill in."""
    read = {name for node in _graphs.nodes(model) for name in node.input}
    read |= {value.name for graph in _graphs.graphs(model) for value in graph.output}
    for graph in _graphs.graphs(model):
        for place in reversed(range(len(graph.initializer))):
            name = graph.initializer[place].name
            if name in moved and name not in read:
                del graph.initializer[place]


def _level(node: Any) -> bool:
    return any(one.name == _ACCURACY for one in node.attribute)


def _make_unsigned(
    model: onnx.ModelProto,
    node: Any,
    values: int,
    zero: int,
    constants: dict[str, Any],
    moved: dict[str, str],
) -> None:
    given = node.input[zero] if len(node.input) > zero else ""
    tensor = constants.get(node.input[values]) if len(node.input) > values else None
    if tensor is None or tensor.data_type != TensorProto.INT8 or (given and given not in constants):
        return
    node.input[values] = _moved(model, node.input[values], constants, moved)
    node.input.extend([""] * (zero + 1 - len(node.input)))
    if given:
        node.input[zero] = _moved(model, given, constants, moved)
        return
    name = "unsaturated/zero"
    if name not in moved:
        moved[name] = name
        model.graph.initializer.append(numpy_helper.from_array(np.uint8(_SHIFT), name))
    node.input[zero] = name


def _moved(model: onnx.ModelProto, name: str, constants: dict[str, Any], moved: dict[str, str]) -> str:
    if name not in moved:
        moved[name] = f"unsaturated/{name}"
        # Of two's complement, adding 128 is turning the first bit.
        values = np.bitwise_xor(_mapped.array(constants[name]).view(np.uint8), np.uint8(_SHIFT))
        model.graph.initializer.append(numpy_helper.from_array(values, moved[name]))
    return moved[name]
