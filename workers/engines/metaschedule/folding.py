"""Operators between constants, computed at once.

``FoldConstant`` compiles a kernel for every one of them, which for a network with 121 batch normalizations is
23 seconds of LLVM. numpy knows the few that importers write. What isn't in the table is left to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.ir import GenericConst, IRModule, Op

__all__ = ["with_constants_folded"]

# More, made of less, is better computed where it is read.
_MOST_GROWTH = 4


def with_constants_folded(module: IRModule) -> IRModule:
    """Return a model in which what a few operators make of constants alone is a constant.

    Only tensors with an axis: a scalar that is a constant becomes part of the kernel that reads it, where one
    that is computed stays an argument, and that would be another workload.
    """
    fold = _Fold(module)
    fold.builder_.update_func(module.get_global_var("main"), fold.visit_expr(module["main"]))
    return fold.builder_.finalize()


def _reshaped(call: relax.Call, x: np.ndarray) -> np.ndarray | None:
    shape = _shape(call)
    return None if shape is None else x.reshape(shape)


def _permuted(call: relax.Call, x: np.ndarray) -> np.ndarray:
    return np.transpose(x, None if call.attrs.axes is None else [int(axis) for axis in call.attrs.axes])


def _dequantized(call: relax.Call, x: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> np.ndarray | None:
    """Compute as TVM's kernel does: a difference of whole numbers, a product in single precision."""
    if x.dtype.kind not in "iu" or str(call.ty.dtype) != "float32":
        return None
    dims = [1] * x.ndim
    if scale.size > 1:
        dims[int(call.attrs.axis) % x.ndim] = scale.size
    whole = x.astype("int32") - zero.astype("int32").reshape(dims if zero.size > 1 else ())
    found: np.ndarray = whole.astype("float32") * scale.astype("float32").reshape(
        dims if scale.size > 1 else ()
    )
    return found


_OPERATORS: dict[str, Callable[..., np.ndarray | None]] = {
    "relax.dequantize": _dequantized,
    "relax.add": lambda _, x, y: x + y,
    "relax.subtract": lambda _, x, y: x - y,
    "relax.multiply": lambda _, x, y: x * y,
    "relax.divide": lambda _, x, y: x / y if x.dtype.kind == "f" else None,
    "relax.sqrt": lambda _, x: np.sqrt(x),
    "relax.negative": lambda _, x: -x,
    "relax.expand_dims": _reshaped,
    "relax.squeeze": _reshaped,
    "relax.reshape": _reshaped,
    "relax.permute_dims": _permuted,
}


@relax.expr_functor.mutator
class _Fold(relax.expr_functor.PyExprMutator):  # type: ignore[misc]
    def __init__(self, module: IRModule) -> None:
        super().__init__(module)
        self._known: dict[relax.Var, GenericConst] = {}

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        """Note what a variable is instead of binding it, where that can be computed."""
        value = binding.value
        if isinstance(value, relax.Call) and isinstance(binding.var, relax.DataflowVar):
            found = self._computed(value)
            if found is not None:
                self._known[binding.var] = found
                return
        super().visit_var_binding_(binding)

    def visit_dataflow_var_(self, op: relax.DataflowVar) -> relax.Expr:
        """Return the constant that a variable is."""
        return self._known[op] if op in self._known else super().visit_dataflow_var_(op)

    def _computed(self, call: relax.Call) -> GenericConst | None:
        compute = _OPERATORS.get(call.op.name) if isinstance(call.op, Op) else None
        shape = _shape(call)
        if compute is None or not shape:
            return None
        values = []
        for arg in call.args:
            known = self._known.get(arg, arg) if isinstance(arg, relax.Var) else arg
            if isinstance(known, relax.ShapeExpr):
                continue
            if not isinstance(known, GenericConst) or not isinstance(known.value, tvm.runtime.Tensor):
                return None
            values.append(known.value.numpy())
        if not values or np.prod(shape) > _MOST_GROWTH * max(value.size for value in values):
            return None
        found = compute(call, *values)
        dtype = str(call.ty.dtype)
        if found is None or found.shape != shape or str(found.dtype) != dtype:
            return None
        return relax.const(np.ascontiguousarray(found), dtype)


def _shape(expr: Any) -> tuple[int, ...] | None:
    shape = getattr(expr.ty, "shape", None)
    if not isinstance(shape, relax.ShapeExpr) or not all(
        isinstance(size, tvm.tirx.IntImm) for size in shape.values
    ):
        return None
    return tuple(int(size) for size in shape.values)
