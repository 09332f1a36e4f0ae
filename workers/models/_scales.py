"""Scales and zero points that mean nothing, found before anything is computed with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto

from workers.errors import ModelError
from workers.models import _graphs, _mapped

__all__ = ["refuse_scales"]


class _Numbers(NamedTuple):
    """Where an operator has numbers, their scale and their zero point among its inputs; -1 for none.

    Attributes
    ----------
    what : str
        For people.
    """

    what: str
    values: int
    scale: int
    zero: int


_X_Y = (_Numbers("input", 0, 1, 2), _Numbers("result", -1, 3, 4))
_A_B_C = (_Numbers("first input", 0, 1, 2), _Numbers("second input", 3, 4, 5), _Numbers("result", -1, 6, 7))
# Those of the standard, and those of onnxruntime's.
_OPERATORS: Mapping[str, tuple[_Numbers, ...]] = {
    "QuantizeLinear": (_Numbers("result", -1, 1, 2),),
    "DequantizeLinear": (_Numbers("input", 0, 1, 2),),
    "QLinearConv": (_Numbers("input", 0, 1, 2), _Numbers("weights", 3, 4, 5), _Numbers("result", -1, 6, 7)),
    "QLinearMatMul": _A_B_C,
    "MatMulInteger": (_Numbers("first input", 0, -1, 2), _Numbers("second input", 1, -1, 3)),
    "ConvInteger": (_Numbers("input", 0, -1, 2), _Numbers("weights", 1, -1, 3)),
    "QLinearAdd": _A_B_C,
    "QLinearMul": _A_B_C,
    "QLinearSigmoid": _X_Y,
    "QLinearLeakyRelu": _X_Y,
    "QLinearAveragePool": _X_Y,
    "QLinearGlobalAveragePool": _X_Y,
    "QLinearReduceMean": _X_Y,
    "QLinearSoftmax": _X_Y,
    "QLinearWhere": (
        _Numbers("first input", 1, 2, 3),
        _Numbers("second input", 4, 5, 6),
        _Numbers("result", -1, 7, 8),
    ),
    "QGemm": (
        _Numbers("first input", 0, 1, 2),
        _Numbers("second input", 3, 4, 5),
        _Numbers("result", -1, 7, 8),
    ),
    "DynamicQuantizeMatMul": (_Numbers("weights", 1, 2, 3),),
    "MatMulIntegerToFloat": (_Numbers("first input", 0, 2, 4), _Numbers("second input", 1, 3, 5)),
    "QAttention": (_Numbers("input", 0, 3, 6), _Numbers("weights", 1, 4, 7)),
    "MatMulNBits": (_Numbers("weights", -1, 2, -1),),
    "DynamicQuantizeLSTM": (_Numbers("weights", 1, 8, 9), _Numbers("recurrent weights", 2, 10, 11)),
}
# Both sides are of one type.
_ALIKE = {"QLinearAdd", "QLinearMul", "QLinearConcat", "QLinearWhere"}
# A type of values that says nothing about what their zero point may be.
_MOVES = {
    *(
        "Concat",
        "DepthToSpace",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "MaxPool",
        "Pad",
        "Relu",
        "Reshape",
    ),
    *("Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
}
_DOMAINS = (*_graphs.STANDARD_DOMAINS, "com.microsoft")


def refuse_scales(model: onnx.ModelProto, path: Path) -> None:
    """Refuse scales that are no positive numbers, and zero points of another type than what they are for.

    onnxruntime computes with such scales without a word.

    Raises
    ------
    ModelError
        With the node, and which of its inputs it is.
    """
    if not any(node.op_type in _OPERATORS or node.op_type in _ALIKE for node in _graphs.nodes(model)):
        return
    constants, types = _graphs.constants(model), _types(model)
    for node in _graphs.nodes(model):
        if node.domain not in _DOMAINS:
            continue
        where = f"{path}: {node.op_type} (node {_graphs.title(node)})"
        kinds = []
        for one in _numbers(node):
            blocks = node.op_type == "MatMulNBits" or bool(_graphs.attribute(node, "block_size", 0))
            _refuse_scale(_name(node, one.scale), one.what, where, constants, signed=blocks)
            kinds.append(_refuse_zero(node, one, where, constants, types))
        known = [kind for kind in kinds if kind]
        if node.op_type in _ALIKE and len(set(known)) > 1:
            named = " and ".join(sorted({_named(kind) for kind in known}))
            raise ModelError(f"{where} mixes {named}; all that it reads and makes has to be of one type")


def _numbers(node: Any) -> Iterator[_Numbers]:
    yield from _OPERATORS.get(node.op_type, ())
    if node.op_type == "QLinearConcat":
        yield _Numbers("result", -1, 0, 1)
        for place in range(2, len(node.input), 3):
            yield _Numbers(f"part {(place - 2) // 3}", place, place + 1, place + 2)


def _name(node: Any, place: int) -> str:
    return str(node.input[place]) if 0 <= place < len(node.input) else ""


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """Return the element types that can be told without inferring shapes, which takes long."""
    types = _graphs.shapes_and_types(model)[1]
    types.update({name: int(tensor.data_type) for name, tensor in _graphs.constants(model).items()})
    for node in _graphs.nodes(model):
        if not node.output:
            continue
        if node.op_type == "DynamicQuantizeLinear":
            types.update(dict.fromkeys((node.output[0], node.output[-1]), TensorProto.UINT8))
            continue
        result = [one for one in _numbers(node) if one.what == "result"]
        kind = types.get(_name(node, result[0].zero), 0) if result else 0
        if node.op_type == "QuantizeLinear" and not _name(node, 2):
            kind = int(_graphs.attribute(node, "output_dtype", 0)) or TensorProto.UINT8
        if node.op_type in _MOVES:
            kind = types.get(_name(node, 0), 0)
        if kind:
            types.setdefault(node.output[0], kind)
    return types


def _named(kind: int) -> str:
    return str(TensorProto.DataType.Name(kind)).lower()


def _refuse_scale(name: str, what: str, where: str, constants: Mapping[str, Any], *, signed: bool) -> None:
    """Refuse a scale that is none; those of blocks may be negative, or 0 where all are 0."""
    tensor = constants.get(name) if name else None
    if tensor is None:
        return
    scale = _mapped.array(tensor)
    if scale.dtype.kind in "iu" or not scale.size:
        raise ModelError(f"{where}: the scale of its {what} ('{name}') is no number of a float type")
    with np.errstate(invalid="ignore"):
        wrong = ~(np.isfinite(scale.astype(np.float32)) & (signed | (scale.astype(np.float32) > 0)))
    if wrong.any():
        first = float(scale.ravel()[int(np.argmax(wrong.ravel()))])
        which = "" if scale.size == 1 else f" {int(wrong.sum())} of {scale.size} entries, the first"
        raise ModelError(
            f"{where}: the scale of its {what} ('{name}') is{which} {first:g}; a scale is a positive number: "
            "quantize the model again, with data in which what it scales isn't all 0 or NaN"
        )


def _refuse_zero(
    node: Any, one: _Numbers, where: str, constants: Mapping[str, Any], types: Mapping[str, int]
) -> int:
    """Return the element type of the numbers, as far as it is known; 0 where it isn't."""
    name, zero = _name(node, one.values), _name(node, one.zero)
    kind, of_zero = types.get(name, 0), types.get(zero, 0) if zero else 0
    declared = int(_graphs.attribute(node, "output_dtype", 0)) if node.op_type == "QuantizeLinear" else 0
    kind = kind or declared
    tensor = constants.get(zero) if zero else None
    if kind and of_zero and kind != of_zero:
        raise ModelError(
            f"{where}: its {one.what} is {_named(kind)} and the zero point of that ('{zero}') "
            f"{_named(of_zero)}{_range(tensor, kind)}; both have to be of one type"
        )
    if tensor is not None and kind == TensorProto.INT32 and np.any(_mapped.array(tensor)):
        raise ModelError(
            f"{where}: its {one.what} is int32, and the zero point of that ('{zero}') not 0, as it has to be"
        )
    scale = constants.get(_name(node, one.scale))
    same = node.op_type in ("QuantizeLinear", "DequantizeLinear")
    if same and tensor is not None and scale is not None and _entries(tensor) != _entries(scale):
        raise ModelError(
            f"{where}: the zero point of its {one.what} ('{zero}') has {_entries(tensor)} entries and the "
            f"scale {_entries(scale)}; each scale has one zero point"
        )
    return kind or of_zero


def _entries(tensor: Any) -> int:
    return int(np.prod(tensor.dims)) if tensor.dims else 1


def _range(tensor: Any, kind: int) -> str:
    """Say of a zero point of another type whether it would be one at all."""
    limits = {TensorProto.INT8: (-128, 127), TensorProto.UINT8: (0, 255)}.get(kind)
    if tensor is None or limits is None:
        return ""
    values = _mapped.array(tensor).astype(np.float64)
    if values.size and (values.min() < limits[0] or values.max() > limits[1]):
        out = values.min() if values.min() < limits[0] else values.max()
        return f", at {out:g} out of the {limits[0]} to {limits[1]} of the former"
    return ""
