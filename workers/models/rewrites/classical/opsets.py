"""A later version of the standard operators, where a classical model asks for an early one.

Exporters name the earliest version that has what they write, and that is none at all where everything is of
ai.onnx.ml: XGBoost's file has no version of the standard, LightGBM's has 8 or 9.
"""

from __future__ import annotations

import onnx
import onnx.version_converter
from onnx import helper

from workers.models import _graphs

__all__ = ["NEEDED", "raised"]

# What trees are written in: LessOrEqual, GatherElements, and Squeeze with its axes as an input.
NEEDED = 13

# The same in all versions from 7 on, with the attributes and inputs that they had then.
_UNCHANGED = {
    "Abs",
    "Add",
    "ArgMax",
    "ArgMin",
    "Cast",
    "Concat",
    "Div",
    "Exp",
    "Flatten",
    "Gather",
    "Identity",
    "MatMul",
    "Mul",
    "Neg",
    "Not",
    "Reshape",
    "Shape",
    "Sigmoid",
    "Sqrt",
    "Sub",
    "Tanh",
    "Transpose",
}


def raised(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """Return the model with a version in which the rules can write, and the one that it had.

    It is the model itself where that was late enough, or where the conversion failed.
    """
    before = _graphs.opset(model)
    if before >= NEEDED:
        return model, before
    standard = {n.op_type for n in _graphs.nodes(model) if n.domain in _graphs.STANDARD_DOMAINS}
    if standard <= _UNCHANGED:
        copied = onnx.ModelProto()
        copied.CopyFrom(model)
        kept = [one for one in model.opset_import if one.domain not in _graphs.STANDARD_DOMAINS]
        del copied.opset_import[:]
        copied.opset_import.extend([helper.make_opsetid("", NEEDED), *kept])
        return copied, before
    try:
        return onnx.version_converter.convert_version(model, NEEDED), before
    # It raises what its C++ does.
    except Exception:
        return model, before
