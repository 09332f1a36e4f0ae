"""What is computed with tiles at once: TVM's tensor intrinsic, and its text for LLVM. See :mod:`.tiles`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm.script import tirx as T  # noqa: N812  (as TVMScript is written)

from workers.engines.metaschedule.dot_products import in_language
from workers.engines.metaschedule.tiles import BYTES, COLUMNS, SUM, Tiles, high_of, step_of

__all__ = ["intrinsic_of"]

# Which tiles are of rows, and of columns; the first are of sums.
_OF_ROWS, _OF_COLUMNS = (4, 5), (6, 7)
# Between two lines of assembly in LLVM's text.
_LINE = "\\0A"
# What says how large tiles are: 64 bytes, the first of which tells what they mean, then each tile's width
# (two bytes), then its height.
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


def intrinsic_of(tiles: Tiles) -> tuple[Any, Any]:
    """Return what is computed at once, and how, as functions of TVM."""
    single = (tiles.window.high, tiles.window.wide) == (1, 1)
    meaning, computed = _multiplied(tiles) if single else _convolved(tiles)
    return meaning, in_language(computed, _language(tiles))


def _called(tiles: Tiles) -> Callable[..., Any]:
    """Return what calls the function: with where each lies, and with how far its parts are apart."""
    name, of_number = tiles.name, SUM // tiles.dot.factor

    def called(y: Any, ys: Any, x: Any, xh: Any, xs: Any, w: Any, wh: Any, wb: Any, ws: Any) -> Any:
        sums = [y.access_ptr("rw"), T.cast(ys, "int64") * T.int64(SUM)]
        apart = [T.cast(one, "int64") * T.int64(of_number) for one in (xh, xs, wh, wb, ws)]
        return T.call_extern(
            "int32", name, *sums, x.access_ptr("r"), *apart[:2], w.access_ptr("r"), *apart[2:]
        )

    return called


def _multiplied(tiles: Tiles) -> tuple[Any, Any]:
    dot, (_, _, step, _, _) = tiles.dot, tiles.window
    factor, data, weights, number = dot.factor, dot.data, dot.weights, dot.sums
    rows, columns, groups = tiles.rows, tiles.columns, tiles.terms // factor
    broad, wide, called = (rows - 1) * step + 1, dot.widened, _called(tiles)

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def multiplied(a: T.handle, b: T.handle, c: T.handle) -> None:
        x = T.match_buffer(a, (broad, groups * factor), data, offset_factor=1)
        w = T.match_buffer(b, (groups, columns, factor), weights, offset_factor=1)
        y = T.match_buffer(c, (rows, columns), number, offset_factor=1)
        with T.sblock("root"):
            T.reads(y[0:rows, 0:columns], x[0:broad, 0 : groups * factor], w[0:groups, 0:columns, 0:factor])
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
        w = T.match_buffer(b, (groups, columns, factor), weights, offset_factor=1, strides=[ws, factor, 1])
        y = T.match_buffer(c, (rows, columns), number, offset_factor=1, strides=[ys, 1])
        with T.sblock("root"):
            T.reads(y[0:rows, 0:columns], x[0:broad, 0 : groups * factor], w[0:groups, 0:columns, 0:factor])
            T.writes(y[0:rows, 0:columns])
            T.evaluate(called(y, ys, x, 0, xs, w, 0, 0, ws))

    return multiplied, multiplied_in_tiles


def _convolved(tiles: Tiles) -> tuple[Any, Any]:
    dot, (high, across, step, beneath, beside) = tiles.dot, tiles.window
    factor, data, weights, number = dot.factor, dot.data, dot.weights, dot.sums
    rows, columns, groups = tiles.rows, tiles.columns, tiles.terms // factor
    tall, broad = (high - 1) * beneath + 1, (rows - 1) * step + (across - 1) * beside + 1
    wide, called = dot.widened, _called(tiles)

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

    return convolved, convolved_in_tiles


def _language(tiles: Tiles) -> str:
    """Return LLVM's text of the function that does it."""
    high = high_of(tiles.rows)
    down, across = tiles.rows // high, tiles.columns // COLUMNS
    # Two by two tiles of sums, as far as there are as many.
    rows, columns = 1 + (down % 2 == 0), 1 + (across % 2 == 0)
    groups = step_of(tiles.terms // tiles.dot.factor)
    steps, wide = tiles.terms // tiles.dot.factor // groups, groups * SUM
    of_rows, of_columns = _OF_ROWS[:rows], _OF_COLUMNS[:columns]
    sums = [(row, column, row * columns + column) for row in range(rows) for column in range(columns)]
    config = [_PALETTE, *[0] * (BYTES - 1)]
    for tile, height, width in (
        *((tile, high, BYTES) for _, _, tile in sums),
        *((tile, high, wide) for tile in of_rows),
        *((tile, groups, BYTES) for tile in of_columns),
    ):
        config[_WIDTHS + 2 * tile], config[_HEIGHTS + tile] = width, height
    # $0 and $1 are where the first tile and the one below it lie, $2 how far rows are from one another.
    kept = [f"{BYTES * column}(${row},$2), %tmm{tile}" for row, column, tile in sums]
    stored = [f"%tmm{tile}, {BYTES * column}(${row},$2)" for row, column, tile in sums]
    # Of the columns $3 and $4 are the same.
    loaded = [f"(${row},$2), %tmm{tile}" for row, tile in enumerate(of_rows)]
    loaded += [f"{BYTES * column}($3,$4), %tmm{tile}" for column, tile in enumerate(of_columns)]
    multiplied = [f"%tmm{of_columns[column]}, %tmm{of_rows[row]}, %tmm{tile}" for row, column, tile in sums]
    multiply = tiles.dot.instruction.rpartition(".")[2]
    return f"""{_ASKED}
@{tiles.name}_config = private constant [{BYTES} x i8] [{", ".join(f"i8 {one}" for one in config)}]
define i32 @{tiles.name}(
    ptr %y, i64 %ys, ptr %x, i64 %xh, i64 %xs, ptr %w, i64 %wh, i64 %wb, i64 %ws) alwaysinline {{
entry:
  %xrow = mul i64 %xs, {tiles.window.step}
  %ylower = mul i64 %ys, {high}
  %xlower = mul i64 %xrow, {high}
  %ydown = mul i64 %ys, {high * rows}
  %xdown = mul i64 %xrow, {high * rows}
  %xbelow = mul i64 %xh, {tiles.window.down}
  %xbeside = mul i64 %xs, {tiles.window.across}
  %wstep = mul i64 %ws, {groups}
  call void asm sideeffect "ldtilecfg ($0)", "r,~{{memory}}"(ptr @{tiles.name}_config)
  br label %columns
columns:
  %j = phi i64 [ 0, %entry ], [ %jnext, %across ]
  %jby = mul i64 %j, {columns * BYTES}
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
  %p = udiv i64 %t, {tiles.window.wide}
  %q = urem i64 %t, {tiles.window.wide}
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
  %tmore = icmp ult i64 %tnext, {tiles.window.high * tiles.window.wide}
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
