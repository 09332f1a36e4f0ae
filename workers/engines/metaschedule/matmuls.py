"""Products of matrices as kernels, with a few rows and columns more (see :mod:`.rows`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import DataType, relax, te, tirx
from tvm.target import Target

from workers.engines.metaschedule.layouts.tensors import constant_of, dtype_of, shape_of
from workers.engines.metaschedule.rows import kept, row, whole_rows, whole_vectors
from workers.engines.metaschedule.targets import vector_bits

__all__ = ["matmul_legalizer"]

_MATRIX = 2


def matmul_legalizer(target: Target) -> Callable[[relax.BlockBuilder, relax.Call], relax.Expr]:
    """Return what lowers products of matrices, with a few rows and columns more where that is faster."""

    def legalized(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        shapes = [shape_of(part) for part in (*call.args, call)]
        if any(shape is None or len(shape) < _MATRIX for shape in shapes):
            return call.op.get_attr("FLegalize")(builder, call)
        dtype = str(call.attrs.out_dtype or dtype_of(call))
        *_, count, columns = kept_shape = list(shapes[2] or ())
        computed = whole_rows(count), whole_vectors(columns, vector_bits(target) // DataType(dtype).bits)
        if computed == (count, columns):
            return call.op.get_attr("FLegalize")(builder, call)
        left, right = call.args
        known = constant_of(right)
        if known is not None and columns != computed[1]:
            around = [(0, 0)] * (known.ndim - 1)
            right = relax.const(np.pad(known, [*around, (0, computed[1] - columns)]), dtype_of(right))
        return builder.call_te(
            _multiplied, left, right, kept_shape, computed, dtype, primfunc_name_hint="matmul"
        )

    return legalized


def _multiplied(
    left: te.Tensor, right: te.Tensor, shape: list[int], computed: tuple[int, int], dtype: str
) -> te.Tensor:
    """Multiply (..., M, K) by (..., K, N), of more columns or filled up to these, into (..., M, N)."""
    *batch, count, columns = shape
    k = te.reduce_axis((0, int(left.shape[-1])), "k")
    if int(right.shape[-1]) != computed[1]:
        given = right

        def filled(*index: Any) -> Any:
            return tirx.if_then_else(index[-1] < columns, given(*index), tirx.const(0, given.dtype))

        right = te.compute([*given.shape[:-1], computed[1]], filled, name="filled")

    def of(tensor: te.Tensor, index: tuple[Any, ...]) -> list[Any]:
        sizes = tensor.shape[:-2]
        own = index[len(index) - len(sizes) :]
        return [0 if int(size) == 1 else one for size, one in zip(sizes, own, strict=True)]

    def one(*index: Any) -> Any:
        *outer, line, column = index
        at = row(line, count, computed[0])
        factors = left(*of(left, tuple(outer)), at, k), right(*of(right, tuple(outer)), k, column)
        return te.sum(factors[0].astype(dtype) * factors[1].astype(dtype), axis=[k])

    return kept(te.compute([*batch, *computed], one, name="matmul"), shape)
