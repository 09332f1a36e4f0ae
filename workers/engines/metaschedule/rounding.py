"""Numbers rounded to bfloat16: their bits, for which neither relax nor TVM's code generator has a type."""

from __future__ import annotations

from typing import Any

from tvm import relax, te, tirx
from tvm.ir import Op

from workers.engines.metaschedule.dot_products import BFLOAT

__all__ = ["bits_of", "is_rounding", "rounded"]

_NAME = "round_to_bfloats"


def rounded(builder: relax.BlockBuilder, data: relax.Expr) -> relax.Expr:
    """Return the bits of a tensor's numbers as bfloat16, :data:`~.dot_products.BFLOAT`."""
    return builder.call_te(_bits, data, primfunc_name_hint=_NAME)


def is_rounding(call: relax.Call) -> bool:
    """Say whether the call of a kernel is what :func:`rounded` makes."""
    return isinstance(call.op, Op) and str(call.args[0].name_hint).rstrip("0123456789") == _NAME


def bits_of(number: Any) -> Any:
    """Round a float to the nearest, and of two to the even one; infinities and NaN stay what they are."""
    half, last, low = (tirx.const(number, "uint32") for number in (0x7FFF, 1, 16))
    bits = tirx.reinterpret("uint32", number)
    return ((bits + half + ((bits >> low) & last)) >> low).astype(BFLOAT)


def _bits(data: te.Tensor) -> te.Tensor:
    return te.compute(data.shape, lambda *index: bits_of(data(*index)), name="bfloats")
