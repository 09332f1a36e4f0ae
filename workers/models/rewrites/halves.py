"""Sums of halves, in single precision.

TVM sums float16 in float16: a sum of 4,096 ones sticks at 2,048 (apache/tvm 17935), and a mean over more than
65,504 elements doesn't compile. onnxruntime computes them in single precision on CPUs. The casts become part
of the kernels around them. Products and convolutions are the engine's to sum so: on a GPU's tensor cores
their inputs have to stay halves.
"""

from __future__ import annotations

from typing import Any

from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.edit import Edit

__all__ = ["RULES"]


def _in_single(node: Any, edit: Edit) -> list[str] | None:
    if edit.type(node.input[0]) != TensorProto.FLOAT16:
        return None
    inputs = [
        edit.cast(name, TensorProto.FLOAT) if name and edit.type(name) == TensorProto.FLOAT16 else name
        for name in node.input
    ]
    made = edit.emit(node.op_type, inputs, len(node.output), **_graphs.attributes(node, "stash_type"))
    outputs = [made] if isinstance(made, str) else list(made)
    return [edit.emit("Cast", [name], to=TensorProto.FLOAT16) for name in outputs]


_SUMMING = (
    "AveragePool",
    "BatchNormalization",
    "CumSum",
    "Einsum",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "LRN",
    "LogSoftmax",
    "LpPool",
    "MeanVarianceNormalization",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMean",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "RMSNormalization",
    "Softmax",
)

RULES = dict.fromkeys(_SUMMING, _in_single)
