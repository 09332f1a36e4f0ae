"""Scales and zero points as arguments of the kernels that read them.

A constant without an axis becomes a number in a kernel's text, so that two layers alike but for their scales,
as all of a quantized network are, would be two tasks. A list of one is an argument.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.ir import GenericConst, IRModule, Op

__all__ = ["with_scales_as_arguments"]

_NAMES = ("relax.quantize", "relax.dequantize")


def with_scales_as_arguments(module: IRModule) -> IRModule:
    """Return a model whose kernels read scales, and zero points but for 0, from tensors.

    A model that is not quantized is returned as it is.
    """
    found = []

    def visit(expr: Any) -> None:
        if isinstance(expr, relax.Call) and isinstance(expr.op, Op) and expr.op.name in _NAMES:
            found.append(expr)

    relax.analysis.post_order_visit(module["main"], visit)
    if not found:
        return module
    rewrite = _Listed(module)
    rewrite.builder_.update_func(module.get_global_var("main"), rewrite.visit_expr(module["main"]))
    return rewrite.builder_.finalize()


@relax.expr_functor.mutator
class _Listed(relax.expr_functor.PyExprMutator):  # type: ignore[misc]
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = super().visit_call_(call)
        if not isinstance(call.op, Op) or call.op.name not in _NAMES:
            return call
        data, scale, zero = call.args
        return relax.Call(call.op, [data, _listed(scale, None), _listed(zero, 0)], call.attrs)


def _listed(arg: Any, apart: int | None) -> Any:
    """Return a constant without an axis as a list of one, but for one number."""
    if not isinstance(arg, GenericConst) or not isinstance(arg.value, tvm.runtime.Tensor):
        return arg
    value = arg.value.numpy()
    if value.size != 1 or (apart is not None and value.item() == apart):
        # A zero point of 0 takes no subtraction, and a list of one that is 0 would.
        return relax.const(value.reshape(()), str(value.dtype)) if value.size == 1 else arg
    return relax.const(np.ascontiguousarray(value.reshape(1)), str(value.dtype))
