"""Products with constant matrices, laid out as an instruction that multiplies several numbers takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax, te
from tvm.relax.utils import gen_call_tir_inputs

from workers.engines.metaschedule.dot_products import DotProduct
from workers.engines.metaschedule.layouts.tensors import shape_of
from workers.engines.metaschedule.rows import kept, row, whole_rows
from workers.engines.metaschedule.sums import widened

__all__ = ["multiplied"]

# relax's OpPatternKind of what operators that go element by element are fused to.
_JOINED_BY_ELEMENTS = 4


def multiplied(
    builder: relax.BlockBuilder, data: relax.Expr, weights: np.ndarray, dot: DotProduct, called: str
) -> relax.Expr:
    """Multiply rows by a matrix, (K, N), whose columns are laid out as the instruction's vectors.

    Parameters
    ----------
    data : relax.Expr
        (..., M, K), K in whole groups of what is multiplied at once.
    weights : numpy.ndarray
        Of the type that the instruction takes.
    called : str
        How the kernel is called.
    """
    terms, columns = weights.shape
    more = -columns % dot.lanes
    filled = np.pad(weights, [(0, 0), (0, more)])
    laid = filled.reshape(terms // dot.factor, dot.factor, -1, dot.lanes).transpose(2, 0, 3, 1)
    func, arguments, made = gen_call_tir_inputs(_products, data, relax.const(np.ascontiguousarray(laid)))
    name = builder.add_func(func.with_attr("op_pattern", _JOINED_BY_ELEMENTS), called)
    result = builder.emit(relax.call_tir(name, arguments, made))
    if not more:
        return result
    return relax.op.strided_slice(result, [len(shape_of(data) or ()) - 1], [0], [columns])


def _products(data: te.Tensor, weights: te.Tensor) -> te.Tensor:
    """Multiply rows by the columns of a matrix.

    Parameters
    ----------
    data : (..., M, K)
    weights : (N/lanes, K/factor, lanes, factor)
    """
    lanes, factor = (int(size) for size in weights.shape[2:])
    k = te.reduce_axis((0, int(weights.shape[1])), "k")
    each = te.reduce_axis((0, factor), "each")
    wide = widened(data)

    *outer, count, _ = (int(size) for size in data.shape)
    computed = whole_rows(count)

    def one(*index: Any) -> Any:
        *before, line, column = index
        left = data(*before, row(line, count, computed), k * factor + each)
        right = weights(column // lanes, k, column % lanes, each)
        return te.sum(wide(left) * wide(right), axis=[k, each])

    columns = int(weights.shape[0]) * lanes
    made = te.compute((*outer, computed, columns), one, name="matmul")
    return kept(made, [*outer, count, columns])
