"""Convolutions of 3x3 by Winograd's algorithm F(2x2, 3x3), in blocks of channels (arXiv 1509.09308).

A tile of 2x2 outputs is made of a window of 4x4 inputs. The window is transformed, multiplied with
transformed weights, element by element and summed over the input channels, and transformed back: 16 products
where the convolution has 36. The products are one batch of matrix multiplications, and by far the dearest of
four kernels, each of which is a task of its own.

F(4x4, 3x3) has 36 products for 144, but its transforms, unrolled, take LLVM longer to compile than is gained.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from tvm import te, topi
from tvm.s_tir import Schedule
from tvm.tirx import PrimFunc

from workers.engines.metaschedule.rows import row, whole_rows

__all__ = ["assembled", "by_element", "products", "tiles", "transformed_weights", "unrolled", "windows"]

#: Outputs of a tile in one direction, inputs of its window.
TILE, WINDOW = 2, 4
# Of the inputs, of the weights, and back: the paper's B^T, G and A^T.
_INTO = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
_WEIGHTS = ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1))
_BACK = ((1, 1, 1, 0), (0, 1, -1, -1))
# The axis of `windows` and of `tiles` that says which element of the square it is.
_ELEMENT_AXIS = 2


def transformed_weights(kernel: np.ndarray) -> np.ndarray:
    """Return weights, (O, I, 3, 3), as :func:`products` takes them: (16, I, O)."""
    rows = np.array(_WEIGHTS)
    made = np.einsum("ea,oiab,nb->enio", rows, kernel.astype("float64"), rows)
    return np.ascontiguousarray(made.reshape(WINDOW**2, *made.shape[2:]).astype("float32"))


def windows(data: te.Tensor, padding: list[int]) -> te.Tensor:
    """Return the transformed windows of (N, I/i, H, W, i) as (tiles, I/i, 16, i).

    There may be more of them than tiles (see :mod:`.rows`).
    """
    top, left, bottom, right = padding
    batch, chunks, height, width, within = (int(n) for n in data.shape)
    rows, columns = -(-(height + top + bottom - 2) // TILE), -(-(width + left + right - 2) // TILE)
    # Windows reach past the image where tiles reach past the outputs.
    below, beside = rows * TILE + 2 - height - top, columns * TILE + 2 - width - left
    padded = topi.nn.pad(data, [0, 0, top, left, 0], [0, 0, below, beside, 0], name="data_pad")

    count = batch * rows * columns
    computed = whole_rows(count)

    def one(tile: Any, chunk: Any, element: Any, inner: Any) -> Any:
        tile = row(tile, count, computed)
        n, y, x = tile // (rows * columns), tile // columns % rows * TILE, tile % columns * TILE
        return _transformed(_INTO, element, lambda a, b: padded[n, chunk, y + a, x + b, inner])

    return te.compute((computed, chunks, WINDOW**2, within), one, name="windows")


def products(transformed: te.Tensor, weights: te.Tensor) -> te.Tensor:
    """Multiply (16, tiles, I) with (16, I, O) into (16, tiles, O)."""
    elements, count, channels = (int(n) for n in transformed.shape)
    ic = te.reduce_axis((0, channels), "ic")
    return te.compute(
        (elements, count, int(weights.shape[2])),
        lambda e, tile, o: te.sum(transformed[e, tile, ic] * weights[e, ic, o], axis=[ic]),
        name="winograd",
    )


def tiles(multiplied: te.Tensor, count: int, block: int) -> te.Tensor:
    """Transform the first `count` of (16, tiles, O) back, into (tiles, O/o, 4, o)."""
    out = int(multiplied.shape[2])

    def one(tile: Any, chunk: Any, element: Any, inner: Any) -> Any:
        channel = chunk * block + inner
        return _transformed(_BACK, element, lambda a, b: multiplied[a * WINDOW + b, tile, channel])

    return te.compute((count, out // block, TILE**2, block), one, name="tiles")


def assembled(made: te.Tensor, batch: int, height: int, width: int) -> te.Tensor:
    """Put tiles, (tiles, O/o, 4, o), side by side into (N, O/o, H, W, o)."""
    _, chunks, _, block = (int(n) for n in made.shape)
    rows, columns = -(-height // TILE), -(-width // TILE)

    def one(n: Any, chunk: Any, y: Any, x: Any, inner: Any) -> Any:
        tile = (n * rows + y // TILE) * columns + x // TILE
        return made[tile, chunk, y % TILE * TILE + x % TILE, inner]

    return te.compute((batch, chunks, height, width, block), one, name="assembled")


def unrolled(function: PrimFunc, block: str) -> PrimFunc:
    """Have the elements of a square written out: each is another sum.

    MetaSchedule unrolls reductions alone, and a sum chosen while it runs is computed with all others.
    """
    schedule = Schedule(tvm.IRModule({"main": function}))
    loop = schedule.get_loops(schedule.get_sblock(block))[_ELEMENT_AXIS]
    schedule.annotate(loop, "pragma_auto_unroll_max_step", 512)
    schedule.annotate(loop, "pragma_unroll_explicit", 1)
    return schedule.mod["main"]


def by_element(function: PrimFunc, block: str) -> PrimFunc:
    """Have windows, (tiles, I/i, 16, i), written as (16, tiles, I).

    In the order in which they are computed they would be read at strides of whole pages.
    """
    schedule = Schedule(tvm.IRModule({"main": function}))
    within = int(function.params[-1].shape[-1])
    schedule.transform_layout(
        schedule.get_sblock(block),
        ("write", 0),
        lambda tile, chunk, element, inner: (element, tile, chunk * within + inner),
    )
    return schedule.mod["main"]


def _transformed(matrix: Any, element: Any, at: Any) -> Any:
    """Return an element of M s M^T, where `at` gives the square's, as a choice among the sums."""
    outputs, inputs = len(matrix), len(matrix[0])
    sums = []
    for one in range(outputs):
        for two in range(outputs):
            total: Any = None
            for a in range(inputs):
                for b in range(inputs):
                    factor = matrix[one][a] * matrix[two][b]
                    if factor:
                        term = at(a, b) if factor > 0 else -at(a, b)
                        total = term if total is None else total + term
            sums.append(total)
    chosen = sums[-1]
    for number in reversed(range(len(sums) - 1)):
        chosen = tvm.tirx.Select(element == number, sums[number], chosen)
    return chosen
