"""What a candidate computes, compared with the same kernel without a schedule, on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from workers.errors import WrongOutputError

__all__ = ["BFLOAT", "PLAIN", "SCHEDULED", "difference", "require_same"]

#: The functions of a library that is made for the comparison.
SCHEDULED, PLAIN = "scheduled", "plain"
#: How an argument is described that is the bits of such numbers, for which TVM has no type.
BFLOAT = "bfloat16"

# As for whole models (workers.models.judge): of the largest value. A schedule adds up in another order; half
# precision keeps three digits of a sum, and bfloat16, of a sum in single precision, as many as that.
_TOLERANCE = {"float64": 1e-6, "float16": 2e-2, BFLOAT: 2e-2}
_SINGLE = 1e-3
# A quantized number is rounded from a sum in single precision, which may lie on the other side of a half.
_ONE_STEP = ("int8", "uint8")


def require_same(
    library: Any, scheduled: list[Any], plain: list[Any], dtypes: Sequence[str] | None = None
) -> None:
    """Run both functions of a library on the same values, and refuse it where they differ.

    Parameters
    ----------
    library : tvm.runtime.Module
        With the functions :data:`SCHEDULED` and :data:`PLAIN`.
    scheduled, plain : list of tvm.runtime.Tensor
        Arguments of each, on the device, filled with what is random. Those of one shape get the same values;
        others are results, with their channels in other blocks.
    dtypes : sequence of str, optional
        What each stands for, where that is another type than it has: bfloat16 is kept as 16 bits.

    Raises
    ------
    WrongOutputError
    """
    for ours, theirs in zip(scheduled, plain, strict=True):
        if tuple(ours.shape) == tuple(theirs.shape):
            ours.copyfrom(theirs.numpy())
    library[PLAIN](*plain)
    library[SCHEDULED](*scheduled)
    # Whichever of them are results: what is read alone is the same in both.
    for place, (ours, theirs) in enumerate(zip(scheduled, plain, strict=True)):
        got, want = ours.numpy(), theirs.numpy()
        if got.shape != want.shape:
            got, want = _unblocked(got), _unblocked(want)
        dtype = str(theirs.dtype) if dtypes is None else dtypes[place]
        if dtype == BFLOAT:
            got, want = _of_bits(got), _of_bits(want)
        reason = difference(got, want, dtype)
        if reason:
            raise WrongOutputError(
                f"it computes something else than the kernel without a schedule: argument {place} {reason}"
            )


def _of_bits(array: Any) -> Any:
    """Return the numbers that 16 bits stand for as bfloat16."""
    return (array.astype(np.uint32) << 16).view(np.float32)


def _unblocked(array: Any) -> Any:
    """Put channels that are in blocks, (N, C/c, H, W, c), side by side."""
    if array.ndim != 5:
        return array
    batch, blocks, height, width, block = array.shape
    return array.transpose(0, 1, 4, 2, 3).reshape(batch, blocks * block, height, width)


def difference(got: Any, want: Any, dtype: str) -> str:
    """Say how two results differ by more than rounding; nothing where they don't."""
    if got.shape != want.shape:
        return f"has the shape {got.shape} instead of {want.shape}"
    if not want.size:
        return ""
    got, want = got.astype("float64"), want.astype("float64")
    kept = np.isfinite(want)
    if not np.array_equal(np.isnan(got), np.isnan(want)):
        return "has NaN in other places"
    if not np.array_equal(got[~kept & ~np.isnan(want)], want[~kept & ~np.isnan(want)]):
        return "is infinite in other places"
    off = float(np.max(np.abs(got - want), where=kept, initial=0.0))
    if dtype.startswith(("int", "uint", "bool")):
        allowed = 1.0 if dtype in _ONE_STEP else 0.0
    else:
        largest = float(np.max(np.abs(want), where=kept, initial=0.0))
        allowed = _TOLERANCE.get(dtype, _SINGLE) * largest
    return f"is off by {off:.3g}, and {allowed:.3g} is allowed" if off > allowed else ""
