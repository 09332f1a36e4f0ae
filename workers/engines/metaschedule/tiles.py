"""Tiles: registers of whole matrices, and the instructions that multiply these (AMX of x86).

Such a register holds up to 16 rows of 64 bytes. One instruction multiplies a tile of rows, of 64 bytes or
32 bfloat16 each, by a tile of 16 columns, and adds to 16 sums of each row: 16,384 multiplications of bytes,
where one of VNNI's does 64. There are eight tiles, so that the sums of two by two of them stay where they
are, while two tiles of rows and two of columns are loaded for four multiplications.

What a schedule names is all of that: the whole sums of some rows and columns. From one step of a kernel's
loops to the next nothing stays in tiles, for TVM knows no variable of such a type. LLVM does, but it counts
tiles among the registers that it may rename when it orders instructions for a CPU (seen with LLVM 22 for
Zen), and forgets to say how large the other one is. So what uses tiles is in assembly.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, "Programming with Intel AMX".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from tvm import tirx
from tvm.ir import IRModule
from tvm.s_tir import SBlock
from tvm_ffi import structural_walk

from workers.engines.metaschedule.dot_products import (
    TILES,
    TILES_BFLOATS,
    DotProduct,
)
from workers.engines.metaschedule.indices import moves
from workers.engines.metaschedule.workload import only_function

__all__ = [
    "BYTES",
    "COLUMNS",
    "SUM",
    "Tiles",
    "Window",
    "fits",
    "high_of",
    "step_of",
    "tiles_in",
    "tiles_named",
    "whole_rows",
]

# Rows of a tile; bytes of a row, and of a sum.
_ROWS, BYTES, SUM = 16, 64, 4
COLUMNS = BYTES // SUM
_HIGH = range(1, _ROWS + 1)
# To load a tile of columns takes as long as to multiply so many rows by it.
_LOADING = 8
# Vectors are as fast with fewer rows, or fewer bytes of a row.
_FEWEST_ROWS, _FEWEST_BYTES = 4, 16
# Axes of an image whose channels are one block.
_OF_IMAGES = 5
# Rows that are multiplied at once. To say how large each tile is takes 200 cycles, as many as twelve
# multiplications do, and it is said each time.
_AT_ONCE = 256


class Window(NamedTuple):
    """What a convolution sums over, beside channels; as it is by itself, a product.

    Attributes
    ----------
    high, wide : int
        Taps.
    step : int
        Pixels from one of the result to the next, along a row.
    down, across : int
        Pixels from one tap to the next.
    """

    high: int = 1
    wide: int = 1
    step: int = 1
    down: int = 1
    across: int = 1


_ALONE = Window()


@dataclass(frozen=True)
class Tiles:
    """What is done with tiles at once: some rows by some columns, over a whole sum.

    Attributes
    ----------
    rows, columns : int
        Whole tiles of each.
    terms : int
        Numbers of the sum; of a convolution those of each tap.
    dot : DotProduct
        The instruction.
    window : Window
        Of a convolution, whose rows are pixels side by side.
    """

    rows: int
    columns: int
    terms: int
    dot: DotProduct
    window: Window = _ALONE

    @property
    def name(self) -> str:
        """Of the tensor intrinsic that stands for it in a trace."""
        window = "" if self.window == _ALONE else "_" + "x".join(map(str, self.window))
        return f"{self.dot.name}_{self.rows}x{self.columns}x{self.terms}{window}"

    def multiply(self, block: Any) -> bool:
        """Say whether that is what a block of a kernel does, several times."""
        found = _product(block, self.dot)
        if found is None or (found.terms, found.window) != (self.terms, self.window):
            return False
        return found.rows % self.rows == found.together % self.columns == 0


def step_of(groups: int) -> int:
    """Return how many 32-bit groups of a sum an instruction multiplies: a part of all, 16 at most."""
    return max(size for size in range(1, _ROWS + 1) if groups % size == 0)


def fits(count: int, terms: int, factor: int) -> bool:
    """Say whether tiles are worth it for so many rows, and sums of so many terms, some of them at once."""
    if count < _FEWEST_ROWS or terms % factor:
        return False
    return step_of(terms // factor) * SUM >= _FEWEST_BYTES


def whole_rows(count: int) -> int:
    """Return how many rows to compute instead of so many, so that tiles divide them."""
    return min((_takes(count, high), -(-count // high) * high) for high in _HIGH)[1]


def _takes(count: int, high: int) -> tuple[int, int]:
    """Return what it takes to compute so many rows in tiles of a height, and one or two of them at a time."""
    tiles = -(-count // high)
    return tiles * high + -(-tiles // 2) * _LOADING, -high


def high_of(rows: int) -> int:
    """Return the rows of a tile, where all tiles have as many."""
    return min((_takes(rows, high), high) for high in _HIGH if rows % high == 0)[1]


def tiles_in(module: IRModule, dot: DotProduct, cores: int) -> Tiles | None:
    """Return the tiles that a kernel is laid out for; None where it is for other instructions.

    Parameters
    ----------
    cores : int
        Which all get a part, if there are as many parts.
    """
    blocks: list[Any] = []
    structural_walk(only_function(module).body, (SBlock, blocks.append))
    found = next((found for block in blocks if (found := _product(block, dot))), None)
    if found is None:
        return None
    high = high_of(found.rows)
    columns = max(size for size in range(COLUMNS, _AT_ONCE + 1, COLUMNS) if found.together % size == 0)
    # As many rows at once as leave a part for each core.
    parts = found.matrices * found.columns // columns
    rows = [many * high for many in range(1, _AT_ONCE // high + 1) if found.rows % (many * high) == 0]
    shared = [one for one in rows if parts * (found.rows // one) >= cores] or rows[:1]
    return Tiles(shared[-1], columns, found.terms, dot, found.window)


class _Product(NamedTuple):
    """What a block multiplies: matrices; of images the pixels of a row are rows, and each row is a matrix.

    Attributes
    ----------
    matrices, rows, columns, terms : int
    together : int
        Columns that lie side by side.
    window : Window
    """

    matrices: int
    rows: int
    columns: int
    terms: int
    together: int
    window: Window


def _product(block: Any, dot: DotProduct) -> _Product | None:
    """Return what a block multiplies so; None of another."""
    summed = [int(one.iter_type) == tirx.IterVar.CommReduce for one in block.iter_vars]
    of_image = summed == [False] * _OF_IMAGES + [True] * 4
    spatial = len(summed) - (4 if of_image else 2)
    if spatial < 2 or summed != [False] * spatial + [True] * (len(summed) - spatial):
        return None
    *outer, across, along = block.iter_vars[:spatial]
    group, each = block.iter_vars[-2:]
    data = weights = None
    for read in block.reads:
        by_last, by_next = (moves(part.min) or {} for part in read.region[:-3:-1])
        if str(read.source.dtype) == dot.weights and along.var.name in by_next:
            weights = read
        elif str(read.source.dtype) == dot.data and {group.var.name, each.var.name} <= set(by_last):
            data = read
    if data is None or weights is None or int(each.dom.extent) != dot.factor:
        return None
    rows, columns = int(across.dom.extent), int(along.dom.extent)
    terms, together = int(group.dom.extent) * dot.factor, int(weights.source.shape[-2])
    if together % COLUMNS or columns % together or not fits(rows, terms, dot.factor):
        return None
    window = _window(data, across, block.iter_vars[-4:-2]) if of_image else _ALONE
    if window is None:
        return None
    return _Product(math.prod(int(one.dom.extent) for one in outer), rows, columns, terms, together, window)


def _window(data: Any, across: Any, taps: Any) -> Window | None:
    """Return how a convolution's taps lie; None where that can't be told, and of a row of taps alone."""
    high, wide = (int(one.dom.extent) for one in taps)
    below, beside = (moves(part.min) for part in data.region[-3:-1])
    if below is None or beside is None or across.var.name not in beside or (high == 1) != (wide == 1):
        return None
    down, along = (by.get(tap.var.name, 1) for by, tap in zip((below, beside), taps, strict=True))
    return Window(high, wide, int(beside[across.var.name]), int(down), int(along))


_BY_NAME = {dot.name: dot for dot in (TILES, TILES_BFLOATS)}
_NAME = re.compile(rf"({'|'.join(_BY_NAME)})_(\d+)x(\d+)x(\d+)(?:_(\d+)x(\d+)x(\d+)x(\d+)x(\d+))?")


def tiles_named(name: str) -> Tiles | None:
    """Return what a schedule names; None where that is something else."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    rows, columns, terms, *window = (int(one) for one in found.groups()[1:] if one is not None)
    return Tiles(rows, columns, terms, _BY_NAME[found[1]], Window(*window))
