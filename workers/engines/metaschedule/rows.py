"""Rows and columns that tiles can't divide: a few more are computed, and left out again.

A tile keeps the sums of four to six rows in registers (see :mod:`.starter.registers`). The 197 tokens of a
vision transformer and the 49 tiles of a 14x14 image divide into nothing of that size, so that every vector of
weights is loaded for one row, or for seven. One row more, 198 and 50, divides. What is read for it is the
last row once more, so that nothing is copied.

In the same way the 197 columns of its attention are no whole number of vectors. Here what is multiplied by is
filled up with zeros: weights once and for all, an activation whenever the kernel runs.
"""

from __future__ import annotations

from typing import Any

from tvm import te, tirx

__all__ = ["kept", "row", "whole_columns", "whole_rows", "whole_vectors"]

# Rows of a tile, the largest of which twelve sums in registers are made of two vectors.
_TILES = (4, 5, 6)
# No more than so much may be computed for nothing.
_MOST_MORE = 0.15


def whole_rows(count: int) -> int:
    """Return how many rows to compute instead of so many.

    Returns
    -------
    int
        The same number, where tiles divide it, or where all that they divide is too many.
    """
    more = next(more for more in range(_TILES[0]) if any((count + more) % size == 0 for size in _TILES))
    return count + more if more <= _MOST_MORE * count else count


def whole_columns(rows: int, columns: int) -> int:
    """Return how many columns of an image to compute, of which a tile may have several rows, too."""
    sizes = {high * wide for high in _divisors(rows) for wide in _divisors(columns)}
    return columns if sizes & {*_TILES} else whole_rows(columns)


def _divisors(count: int) -> list[int]:
    return [size for size in range(1, _TILES[-1] + 1) if count % size == 0]


def row(index: Any, count: int, computed: int) -> Any:
    """Return the row to read for one that is computed."""
    return index if computed == count else tirx.min(index, count - 1)


def kept(made: te.Tensor, shape: list[int]) -> te.Tensor:
    """Leave out what was computed beyond a shape."""
    if [int(size) for size in made.shape] == shape:
        return made
    return te.compute(shape, lambda *index: made(*index), name="kept")


def whole_vectors(count: int, lanes: int) -> int:
    """Return how many columns to compute instead of so many, so that they are whole vectors."""
    more = -count % lanes
    return count + more if more <= _MOST_MORE * count else count
