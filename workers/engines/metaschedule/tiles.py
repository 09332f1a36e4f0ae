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
from tvm.script import tirx as T  # noqa: N812  (as TVMScript is written)
from tvm_ffi import structural_walk

from workers.engines.metaschedule.dot_products import (
    BFLOAT,
    TILES,
    TILES_BFLOATS,
    DotProduct,
    float_of,
    in_language,
)
from workers.engines.metaschedule.indices import moves
from workers.engines.metaschedule.workload import only_function

__all__ = ["Tiles", "Window", "fits", "tiles_in", "tiles_named", "whole_rows"]

# Rows of a tile; bytes of a row, and of a sum.
_ROWS, _BYTES, _SUM = 16, 64, 4
_COLUMNS = _BYTES // _SUM
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
# Which tiles are of rows, and of columns; the first are of sums.
_OF_ROWS, _OF_COLUMNS = (4, 5), (6, 7)
# Between two lines of assembly in LLVM's text.
_LINE = "\\0A"
# What says so: 64 bytes, the first of which tells what they mean, with the width of each tile (two bytes) and
# the height of each.
_PALETTE, _WIDTHS, _HEIGHTS = 1, 16, 48
# Linux lets those processes use tiles that ask for it: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA).
# Who loads a library with tiles in it needn't know: it asks as it is loaded, once for each kernel, and asking
# again changes nothing. In assembly, since TVM keeps no constructor of what it imports.
_ASKED = r"""
module asm ".pushsection .text"
module asm "771: movl $158, %eax"
module asm "movl $0x1023, %edi"
module asm "movl $18, %esi"
module asm "syscall"
module asm "ret"
module asm ".popsection"
module asm ".pushsection .init_array, \22aw\22, @init_array"
module asm ".balign 8"
module asm ".quad 771b"
module asm ".popsection"
"""


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

    @property
    def intrinsic(self) -> tuple[Any, Any]:
        """What it computes, and how, as functions of TVM."""
        factor, data, weights, number = self.dot.factor, self.dot.data, self.dot.weights, self.dot.sums
        rows, columns, groups, name = self.rows, self.columns, self.terms // factor, self.name

        def wide(value: Any) -> Any:
            return float_of(value) if data == BFLOAT else T.cast(value, number)

        def called(y: Any, ys: Any, x: Any, xh: Any, xs: Any, w: Any, wh: Any, wb: Any, ws: Any) -> Any:
            """Call the function in LLVM's language: where each lies, and how far its parts are apart."""
            far = [T.cast(one, "int64") * T.int64(_SUM) for one in (ys,)]
            near = [T.cast(one, "int64") * T.int64(_SUM // factor) for one in (xh, xs, wh, wb, ws)]
            read, weighted = x.access_ptr("r"), w.access_ptr("r")
            return T.call_extern(
                "int32", name, y.access_ptr("rw"), *far, read, *near[:2], weighted, *near[2:]
            )

        high, across, step, beneath, beside = self.window
        tall, broad = (high - 1) * beneath + 1, (rows - 1) * step + (across - 1) * beside + 1

        @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
        def multiplied(a: T.handle, b: T.handle, c: T.handle) -> None:
            x = T.match_buffer(a, (broad, groups * factor), data, offset_factor=1)
            w = T.match_buffer(b, (groups, columns, factor), weights, offset_factor=1)
            y = T.match_buffer(c, (rows, columns), number, offset_factor=1)
            with T.sblock("root"):
                T.reads(
                    y[0:rows, 0:columns], x[0:broad, 0 : groups * factor], w[0:groups, 0:columns, 0:factor]
                )
                T.writes(y[0:rows, 0:columns])
                for i, j, k, e in T.grid(rows, columns, groups, factor):
                    with T.sblock("update"):
                        vi, vj, vk, ve = T.axis.remap("SSRR", [i, j, k, e])
                        y[vi, vj] = y[vi, vj] + wide(x[vi * step, vk * factor + ve]) * wide(w[vk, vj, ve])

        @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
        def multiplied_in_tiles(a: T.handle, b: T.handle, c: T.handle) -> None:
            xs = T.int32()
            ws = T.int32()
            ys = T.int32()
            x = T.match_buffer(a, (broad, groups * factor), data, offset_factor=1, strides=[xs, 1])
            w = T.match_buffer(
                b, (groups, columns, factor), weights, offset_factor=1, strides=[ws, factor, 1]
            )
            y = T.match_buffer(c, (rows, columns), number, offset_factor=1, strides=[ys, 1])
            with T.sblock("root"):
                T.reads(
                    y[0:rows, 0:columns], x[0:broad, 0 : groups * factor], w[0:groups, 0:columns, 0:factor]
                )
                T.writes(y[0:rows, 0:columns])
                T.evaluate(called(y, ys, x, 0, xs, w, 0, 0, ws))

        @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
        def convolved(a: T.handle, b: T.handle, c: T.handle) -> None:
            x = T.match_buffer(a, (tall, broad, groups * factor), data, offset_factor=1)
            w = T.match_buffer(b, (high, across, groups, columns, factor), weights, offset_factor=1)
            y = T.match_buffer(c, (rows, columns), number, offset_factor=1)
            with T.sblock("root"):
                T.reads(
                    y[0:rows, 0:columns],
                    x[0:tall, 0:broad, 0 : groups * factor],
                    w[0:high, 0:across, 0:groups, 0:columns, 0:factor],
                )
                T.writes(y[0:rows, 0:columns])
                for i, j, p, q, k, e in T.grid(rows, columns, high, across, groups, factor):
                    with T.sblock("update"):
                        vi, vj, vp, vq, vk, ve = T.axis.remap("SSRRRR", [i, j, p, q, k, e])
                        y[vi, vj] = y[vi, vj] + wide(
                            x[vp * beneath, vi * step + vq * beside, vk * factor + ve]
                        ) * wide(w[vp, vq, vk, vj, ve])

        @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
        def convolved_in_tiles(a: T.handle, b: T.handle, c: T.handle) -> None:
            xh = T.int32()
            xs = T.int32()
            wh = T.int32()
            wb = T.int32()
            ws = T.int32()
            ys = T.int32()
            x = T.match_buffer(a, (tall, broad, groups * factor), data, offset_factor=1, strides=[xh, xs, 1])
            w = T.match_buffer(
                b,
                (high, across, groups, columns, factor),
                weights,
                offset_factor=1,
                strides=[wh, wb, ws, factor, 1],
            )
            y = T.match_buffer(c, (rows, columns), number, offset_factor=1, strides=[ys, 1])
            with T.sblock("root"):
                T.reads(
                    y[0:rows, 0:columns],
                    x[0:tall, 0:broad, 0 : groups * factor],
                    w[0:high, 0:across, 0:groups, 0:columns, 0:factor],
                )
                T.writes(y[0:rows, 0:columns])
                T.evaluate(called(y, ys, x, xh, xs, w, wh, wb, ws))

        if (high, across) == (1, 1):
            return multiplied, in_language(multiplied_in_tiles, self.language)
        return convolved, in_language(convolved_in_tiles, self.language)

    @property
    def language(self) -> str:
        """LLVM's text of the function that does it."""
        high = _high(self.rows)
        down, across = self.rows // high, self.columns // _COLUMNS
        # Two by two tiles of sums, as far as there are as many.
        rows, columns = 1 + (down % 2 == 0), 1 + (across % 2 == 0)
        groups = _step(self.terms // self.dot.factor)
        steps, wide = self.terms // self.dot.factor // groups, groups * _SUM
        of_rows, of_columns = _OF_ROWS[:rows], _OF_COLUMNS[:columns]
        sums = [(row, column, row * columns + column) for row in range(rows) for column in range(columns)]
        config = [_PALETTE, *[0] * (_BYTES - 1)]
        for tile, height, width in (
            *((tile, high, _BYTES) for _, _, tile in sums),
            *((tile, high, wide) for tile in of_rows),
            *((tile, groups, _BYTES) for tile in of_columns),
        ):
            config[_WIDTHS + 2 * tile], config[_HEIGHTS + tile] = width, height
        # $0 and $1 are where the first tile and the one below it lie, $2 how far rows are from one another.
        kept = [f"{_BYTES * column}(${row},$2), %tmm{tile}" for row, column, tile in sums]
        stored = [f"%tmm{tile}, {_BYTES * column}(${row},$2)" for row, column, tile in sums]
        # Of the columns $3 and $4 are the same.
        loaded = [f"(${row},$2), %tmm{tile}" for row, tile in enumerate(of_rows)]
        loaded += [f"{_BYTES * column}($3,$4), %tmm{tile}" for column, tile in enumerate(of_columns)]
        multiplied = [
            f"%tmm{of_columns[column]}, %tmm{of_rows[row]}, %tmm{tile}" for row, column, tile in sums
        ]
        multiply = self.dot.instruction.rpartition(".")[2]
        return f"""{_ASKED}
@{self.name}_config = private constant [{_BYTES} x i8] [{", ".join(f"i8 {one}" for one in config)}]
define i32 @{self.name}(
    ptr %y, i64 %ys, ptr %x, i64 %xh, i64 %xs, ptr %w, i64 %wh, i64 %wb, i64 %ws) alwaysinline {{
entry:
  %xrow = mul i64 %xs, {self.window.step}
  %ylower = mul i64 %ys, {high}
  %xlower = mul i64 %xrow, {high}
  %ydown = mul i64 %ys, {high * rows}
  %xdown = mul i64 %xrow, {high * rows}
  %xbelow = mul i64 %xh, {self.window.down}
  %xbeside = mul i64 %xs, {self.window.across}
  %wstep = mul i64 %ws, {groups}
  call void asm sideeffect "ldtilecfg ($0)", "r,~{{memory}}"(ptr @{self.name}_config)
  br label %columns
columns:
  %j = phi i64 [ 0, %entry ], [ %jnext, %across ]
  %jby = mul i64 %j, {columns * _BYTES}
  %yj = getelementptr i8, ptr %y, i64 %jby
  %wj = getelementptr i8, ptr %w, i64 %jby
  br label %rows
rows:
  %i = phi i64 [ 0, %columns ], [ %inext, %down ]
  %yby = mul i64 %i, %ydown
  %xby = mul i64 %i, %xdown
  %y0 = getelementptr i8, ptr %yj, i64 %yby
  %y1 = getelementptr i8, ptr %y0, i64 %ylower
  %x0 = getelementptr i8, ptr %x, i64 %xby
  {_assembly(("tileloadd", kept))}(ptr %y0, ptr %y1, i64 %ys)
  br label %tap
tap:
  %t = phi i64 [ 0, %rows ], [ %tnext, %tapped ]
  %p = udiv i64 %t, {self.window.wide}
  %q = urem i64 %t, {self.window.wide}
  %xp = mul i64 %p, %xbelow
  %xq = mul i64 %q, %xbeside
  %xt = add i64 %xp, %xq
  %x0t = getelementptr i8, ptr %x0, i64 %xt
  %wp = mul i64 %p, %wh
  %wq = mul i64 %q, %wb
  %wt = add i64 %wp, %wq
  %w0t = getelementptr i8, ptr %wj, i64 %wt
  br label %step
step:
  %k = phi i64 [ 0, %tap ], [ %knext, %step ]
  %xk = mul i64 %k, {wide}
  %wk = mul i64 %k, %wstep
  %x0k = getelementptr i8, ptr %x0t, i64 %xk
  %x1k = getelementptr i8, ptr %x0k, i64 %xlower
  %w0k = getelementptr i8, ptr %w0t, i64 %wk
  {_assembly(("tileloadd", loaded), (multiply, multiplied), more=2)}(
    ptr %x0k, ptr %x1k, i64 %xrow, ptr %w0k, i64 %ws)
  %knext = add i64 %k, 1
  %kmore = icmp ult i64 %knext, {steps}
  br i1 %kmore, label %step, label %tapped
tapped:
  %tnext = add i64 %t, 1
  %tmore = icmp ult i64 %tnext, {self.window.high * self.window.wide}
  br i1 %tmore, label %tap, label %down
down:
  {_assembly(("tilestored", stored))}(ptr %y0, ptr %y1, i64 %ys)
  %inext = add i64 %i, 1
  %imore = icmp ult i64 %inext, {down // rows}
  br i1 %imore, label %rows, label %across
across:
  %jnext = add i64 %j, 1
  %jmore = icmp ult i64 %jnext, {across // columns}
  br i1 %jmore, label %columns, label %done
done:
  call void asm sideeffect "tilerelease", "~{{memory}}"()
  ret i32 0
}}
"""


def _assembly(*instructions: tuple[str, list[str]], more: int = 0) -> str:
    """Return LLVM's text of some instructions: the name of several, and the operands of each."""
    lines = [f"{name} {operands}" for name, each in instructions for operands in each]
    return f'call void asm sideeffect "{_LINE.join(lines)}", "{"r," * (3 + more)}~{{memory}}"'


def _step(groups: int) -> int:
    """Return how many 32-bit groups of a sum an instruction multiplies: a part of all, 16 at most."""
    return max(size for size in range(1, _ROWS + 1) if groups % size == 0)


def fits(count: int, terms: int, factor: int) -> bool:
    """Say whether tiles are worth it for so many rows, and sums of so many terms, some of them at once."""
    if count < _FEWEST_ROWS or terms % factor:
        return False
    return _step(terms // factor) * _SUM >= _FEWEST_BYTES


def whole_rows(count: int) -> int:
    """Return how many rows to compute instead of so many, so that tiles divide them."""
    return min((_takes(count, high), -(-count // high) * high) for high in _HIGH)[1]


def _takes(count: int, high: int) -> tuple[int, int]:
    """Return what it takes to compute so many rows in tiles of a height, and one or two of them at a time."""
    tiles = -(-count // high)
    return tiles * high + -(-tiles // 2) * _LOADING, -high


def _high(rows: int) -> int:
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
    high = _high(found.rows)
    columns = max(size for size in range(_COLUMNS, _AT_ONCE + 1, _COLUMNS) if found.together % size == 0)
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
    if together % _COLUMNS or columns % together or not fits(rows, terms, dot.factor):
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
