"""What sums of integers hold, in whatever engine's kernels."""

from __future__ import annotations

__all__ = ["MOST_SUMMED"]

#: So many products of two bytes, each less its zero point, are summed in 32 bits without an overflow.
MOST_SUMMED = (2**31 - 1) // 255**2
