"""Products with matrices that are laid out as an instruction that multiplies several numbers takes them.

Constant ones once and for all; computed ones, of which attention has two, by a kernel of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from tvm import relax, te, tirx
from tvm.relax.utils import gen_call_tir_inputs

from workers.engines.metaschedule import rows, tiles
from workers.engines.metaschedule.dot_products import BFLOAT, DotProduct
from workers.engines.metaschedule.fusing import JOINED_BY_ELEMENTS
from workers.engines.metaschedule.layouts.tensors import shape_of
from workers.engines.metaschedule.rounding import bits_of
from workers.engines.metaschedule.sums import widened

__all__ = ["as_many_matrices", "fitting", "multiplied", "multiplied_computed"]

_MATRIX = 2


def multiplied(
    builder: relax.BlockBuilder, data: relax.Expr, weights: np.ndarray, dot: DotProduct, called: str
) -> relax.Expr:
    """Multiply rows by a matrix, (K, N), whose columns are laid out as the instruction's vectors.

    Parameters
    ----------
    data : relax.Expr
        (..., M, K)
    weights : numpy.ndarray
        Of the type that the instruction takes.
    called : str
        How the kernel is called.
    """
    terms, columns = weights.shape
    beside = dot.columns(columns)
    filled = np.pad(weights, [(0, -terms % dot.factor), (0, -columns % beside)])
    laid = filled.reshape(-1, dot.factor, filled.shape[1] // beside, beside).transpose(2, 0, 3, 1)
    return _multiplied(builder, data, relax.const(np.ascontiguousarray(laid)), columns, dot, called)


def fitting(dots: Iterable[DotProduct], call: relax.Call) -> Iterator[DotProduct]:
    """Yield those instructions that a product's rows and terms are enough for; nothing else is asked."""
    *_, count, terms = shape_of(call.args[0]) or ()
    yield from (
        dot for dot in dots if not dot.of_tiles or tiles.fits(count, terms + -terms % dot.factor, dot.factor)
    )


def as_many_matrices(call: relax.Call) -> bool:
    """Say whether a product is of as many matrices on both sides."""
    left, right = (shape_of(one) or () for one in call.args)
    return min(len(left), len(right)) >= _MATRIX and left[:-2] == right[:-2]


def multiplied_computed(
    builder: relax.BlockBuilder, data: relax.Expr, matrices: relax.Expr, dot: DotProduct, called: str
) -> relax.Expr:
    """Multiply rows by matrices that are computed as well, and laid out before.

    Parameters
    ----------
    data : relax.Expr
        (..., M, K), of the type that the instruction takes.
    matrices : relax.Expr
        (..., K, N), as many of them; of its type too, or floats, which are rounded to bfloat16.
    called : str
        How the kernel is called.
    """
    columns = (shape_of(matrices) or ())[-1]
    laid = builder.call_te(
        _laid_out, matrices, dot.columns(columns), dot.factor, primfunc_name_hint="lay_out"
    )
    return _multiplied(builder, data, builder.emit(laid), columns, dot, called)


def _multiplied(
    builder: relax.BlockBuilder,
    data: relax.Expr,
    laid: relax.Expr,
    columns: int,
    dot: DotProduct,
    called: str,
) -> relax.Expr:
    *outer, count, terms = shape_of(data) or ()
    computed = tiles.whole_rows(count) if dot.of_tiles else rows.whole_rows(count)
    # Of what is multiplied at once the last is zero, on both sides; and tiles take rows of zeros, where there
    # are too few, while vectors can read the last one again.
    more = [computed - count if dot.of_tiles else 0, -terms % dot.factor]
    if any(more):
        data = builder.emit(relax.op.nn.pad(data, [0] * (2 * len(outer) + 1) + [more[0], 0, more[1]]))
    func, arguments, made = gen_call_tir_inputs(_products, data, laid, count, computed)
    name = builder.add_func(func.with_attr("op_pattern", JOINED_BY_ELEMENTS), called)
    result = builder.emit(relax.call_tir(name, arguments, made))
    if (shape_of(result) or ())[-1] == columns:
        return result
    return relax.op.strided_slice(result, [len(shape_of(data) or ()) - 1], [0], [columns])


def _laid_out(data: te.Tensor, lanes: int, factor: int) -> te.Tensor:
    """Lay (..., K, N) out as (..., N/lanes, K/factor, lanes, factor), with zeros behind the last.

    Floats are rounded to bfloat16.
    """
    *outer, terms, columns = (int(size) for size in data.shape)
    chunks, groups = -(-columns // lanes), -(-terms // factor)
    rounds = data.dtype == "float32"
    zero = tirx.const(0, BFLOAT if rounds else data.dtype)

    def one(*index: Any) -> Any:
        *before, chunk, group, lane, each = index
        column, term = chunk * lanes + lane, group * factor + each
        inside = [column < columns] if columns % lanes else []
        inside += [term < terms] if terms % factor else []
        number = data(*before, term, column)
        made = bits_of(number) if rounds else number
        return tirx.if_then_else(tirx.all(*inside), made, zero) if inside else made

    return te.compute((*outer, chunks, groups, lanes, factor), one, name="laid")


def _products(data: te.Tensor, weights: te.Tensor, count: int, computed: int) -> te.Tensor:
    """Multiply rows by the columns of a matrix, or of as many as there are of rows.

    Parameters
    ----------
    data : (..., M, K)
    weights : (N/lanes, K/factor, lanes, factor) or (..., N/lanes, K/factor, lanes, factor)
    count, computed : int
        Rows that are asked for, and those that are computed: more, where tiles don't divide them.
    """
    *matrices, chunks, groups, lanes, factor = (int(size) for size in weights.shape)
    k = te.reduce_axis((0, groups), "k")
    each = te.reduce_axis((0, factor), "each")
    wide = widened(data)

    *outer, there, _ = (int(size) for size in data.shape)

    def one(*index: Any) -> Any:
        *before, line, column = index
        left = data(*before, rows.row(line, there, computed), k * factor + each)
        right = weights(*(before if matrices else ()), column // lanes, k, column % lanes, each)
        return te.sum(wide(left) * wide(right), axis=[k, each])

    columns = chunks * lanes
    made = te.compute((*outer, computed, columns), one, name="matmul")
    return rows.kept(made, [*outer, count, columns])
