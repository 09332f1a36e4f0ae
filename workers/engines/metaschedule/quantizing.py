"""Numbers rounded to whole ones by a factor: to divide a vector takes as long as to multiply ten.

Constant scales alone, on CPUs. A quotient that lies within its last bit of the middle between two steps may
round the other way, as it does where what is divided was summed up in another order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax, te, tirx

from workers.engines.metaschedule.layouts.tensors import constant_of, dtype_of

__all__ = ["LEGALIZED"]

_WHOLE = ("int8", "uint8", "int16", "uint16")


def _legalized(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    data, scale, zero = call.args
    steps, kind = constant_of(scale), str(call.attrs.out_dtype)
    factors = None if steps is None else _factors(steps)
    if factors is None or kind not in _WHOLE or dtype_of(data) != "float32":
        return call.op.get_attr("FLegalize")(builder, call)
    offset = constant_of(zero)
    offsets = [] if offset is not None and not offset.any() else [zero]
    return builder.call_te(
        _quantized,
        data,
        relax.const(factors),
        *offsets,
        axis=int(call.attrs.axis),
        dtype=kind,
        primfunc_name_hint="quantize",
    )


def _factors(scales: np.ndarray) -> np.ndarray | None:
    """Return one over each; None where that is no float."""
    with np.errstate(all="ignore"):
        factors = (1 / np.atleast_1d(scales).astype(np.float64)).astype(np.float32)
    return factors if np.isfinite(factors).all() else None


def _quantized(data: te.Tensor, factors: te.Tensor, *offsets: te.Tensor, axis: int, dtype: str) -> te.Tensor:
    """Round to the nearest, and of two to the even one, as ``relax.quantize`` does."""

    ends = np.iinfo(dtype)

    def of(tensor: te.Tensor, index: tuple[Any, ...]) -> Any:
        single = all(int(size) == 1 for size in tensor.shape)
        return tensor(*(0 for _ in tensor.shape)) if single else tensor(index[axis])

    def one(*index: Any) -> Any:
        whole = te.round(data(*index) * of(factors, index))
        for offset in offsets:
            whole = whole + of(offset, index).astype("float32")
        least, most = (tirx.const(float(end), "float32") for end in (ends.min, ends.max))
        return te.max(te.min(whole, most), least).astype(dtype)

    return te.compute(data.shape, one, name="quantized")


#: What ``LegalizeOps`` is told.
LEGALIZED = {"relax.quantize": _legalized}
