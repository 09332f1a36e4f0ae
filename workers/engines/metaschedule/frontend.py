"""TVM's ONNX frontend, with weights mapped instead of read into the model first, and what it lacks."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import tvm
from tvm import relax
from tvm.ir import IRModule
from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter, get_type

from workers.enginekit.weights import mapped, place_of
from workers.engines.metaschedule.layouts.tensors import constant_of

__all__ = ["imported"]


def imported(model: onnx.ModelProto) -> IRModule:
    """Return a model in Relax, weights as constants.

    What ``tvm.relax.frontend.onnx.from_onnx`` does, but for having the checker copy the model once more to
    warn of what preparing it has refused.
    """
    opset = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    importer = _Importer({}, "float32", keep_params_in_input=False)
    return importer.from_onnx(model.graph, opset)


class _Importer(ONNXGraphImporter):  # type: ignore[misc]
    def _parse_array(self, tensor: onnx.TensorProto) -> Any:
        if place_of(tensor) is None:
            return super()._parse_array(tensor)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        return tvm.runtime.tensor(np.frombuffer(mapped(tensor), dtype).reshape(tuple(tensor.dims)))

    def _check_for_unsupported_ops(self, graph: onnx.GraphProto) -> None:
        others = onnx.GraphProto()
        others.node.extend(node for node in graph.node if node.op_type not in _OWN)
        super()._check_for_unsupported_ops(others)

    def _convert_operator(self, op_name: str, inputs: Any, attrs: dict[str, Any], opset: int) -> Any:
        own = _OWN[op_name](self.bb, list(inputs), attrs) if op_name in _OWN else None
        if own is None:
            return super()._convert_operator(op_name, inputs, attrs, opset)
        return self.bb.normalize(own)


def _convolution_of_integers(
    builder: relax.BlockBuilder, inputs: Sequence[Any], attrs: Mapping[str, Any]
) -> relax.Expr:
    """ConvInteger: sums of 32 bits, which floats don't hold, of integers less their zero points."""
    x, weights, x_zero, w_zero = (*inputs, None, None)[:4]
    data = _less(builder, x, x_zero, 0)
    rank = x.ty.ndim
    convolve: Any = {3: relax.op.nn.conv1d, 4: relax.op.nn.conv2d, 5: relax.op.nn.conv3d}[rank]
    space = {3: "W", 4: "HW", 5: "DHW"}[rank]
    return convolve(
        data,
        _less(builder, weights, w_zero, rank),
        strides=list(attrs.get("strides", [1] * (rank - 2))),
        padding=list(attrs.get("pads", [0] * (2 * (rank - 2)))),
        dilation=list(attrs.get("dilations", [1] * (rank - 2))),
        groups=int(attrs.get("group", 1)),
        data_layout=f"NC{space}",
        kernel_layout=f"OI{space}",
        out_dtype="int32",
    )


def _less(builder: relax.BlockBuilder, values: relax.Expr, zero: relax.Expr | None, rank: int) -> relax.Expr:
    """Return integers of 32 bits less their zero point; constants computed at once.

    Parameters
    ----------
    rank : int
        Of weights, whose outputs may have a zero point each; 0 otherwise.
    """
    whole, place = constant_of(values), None if zero is None else constant_of(zero)
    if whole is not None and (zero is None or place is not None):
        number = whole.astype(np.int32)
        if place is not None:
            shift = place.astype(np.int32)
            number = number - (shift.reshape([-1, *[1] * (rank - 1)]) if rank and shift.size > 1 else shift)
        return relax.const(np.ascontiguousarray(number), "int32")
    wide = builder.emit(relax.op.astype(values, "int32"))
    if zero is None or (place is not None and not place.any()):
        return wide
    shift = builder.emit(relax.op.astype(zero, "int32"))
    if rank and zero.ty.ndim == 1:
        shift = builder.emit(relax.op.reshape(shift, [-1, *[1] * (rank - 1)]))
    return builder.emit(relax.op.subtract(wide, shift))


def _cast(builder: relax.BlockBuilder, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> relax.Expr | None:
    """Cast of floats to integers that are narrower than 64 bits: NaN and infinities are 0, the rest wraps.

    TVM's own looks at each number a dozen times to say the same, and whatever computed it is computed as
    often in one kernel: where a network rounds by itself, as in blocks, that took minutes to compile.
    """
    kind, (x, *_) = str(get_type(attrs["to"])), inputs
    bits = re.fullmatch(r"u?int(8|16|32)", kind)
    floats = isinstance(x, relax.Var) and str(x.ty.dtype).startswith("float")
    if bits is None or not floats:
        return None
    dtype, emit = str(x.ty.dtype), builder.emit
    finite = emit(relax.op.less(emit(relax.op.abs(x)), relax.const(math.inf, dtype)))
    number = emit(relax.op.where(finite, x, relax.const(0, dtype)))
    wide = emit(relax.op.astype(number, "int64" if bits[1] == "32" else "int32"))
    return relax.op.astype(wide, kind)


# What TVM's frontend has no converter for, or one that does more than is needed; None leaves it to that.
_OWN: Mapping[str, Callable[[relax.BlockBuilder, Sequence[Any], Mapping[str, Any]], relax.Expr | None]] = {
    "Cast": _cast,
    "ConvInteger": _convolution_of_integers,
}
