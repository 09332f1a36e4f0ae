"""Functions that a CPU computes a whole vector of at a time: exponentials and their like as polynomials.

LLVM turns each of them into a call of the C library for each element. TVM has polynomials for them
(``topi.fast_exp``, ``fast_tanh``, ``fast_erf``), and a pass that puts them in (``FastMathTransform``), which
fails on calls of anything but operators and leaves out whatever is made of an exponential. onnxruntime
computes with polynomials of this kind too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tvm
from tvm import relax, te, topi
from tvm.ir import IRModule
from tvm.target import Target

from workers.engines.metaschedule.targets import vector_bits

__all__ = ["with_polynomials"]


def with_polynomials(module: IRModule, target: Target) -> IRModule:
    """Return a model with the functions of 32-bit floats in it as polynomials.

    A result differs by some units in the last place; beyond the range of a float an exponential is its
    largest or smallest number instead of infinity or 0. Left alone on targets that aren't CPUs: a GPU has
    instructions for them. A model without any is returned as it is.
    """
    if target.kind.name != "llvm" or not _has_functions(module):
        return module
    rewrite = _Polynomials(module, target)
    rewrite.builder_.update_func(module.get_global_var("main"), rewrite.visit_expr(module["main"]))
    return rewrite.builder_.finalize()


def _sigmoid(x: te.Tensor) -> te.Tensor:
    negative = te.compute(x.shape, lambda *i: -x(*i), name="negative")
    exponential = topi.fast_exp(negative)
    return te.compute(x.shape, lambda *i: 1 / (1 + exponential(*i)), name="sigmoid")


def _silu(x: te.Tensor) -> te.Tensor:
    return topi.multiply(x, _sigmoid(x))


# Numerator and denominator of the error function within [-4, 4], the highest power first: those of Eigen's
# ``generic_fast_erf_float``, which TVM has too.
_ODD = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_EVEN = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)


def _erf(x: te.Tensor) -> te.Tensor:
    """``topi.fast_erf``, for which the error function of NaN is 1."""

    def value(*i: Any) -> Any:
        # Of two numbers that don't compare, the processor's minimum is the second.
        near = tvm.tirx.Max(_single(-4.0), tvm.tirx.Min(_single(4.0), x(*i)))
        square = near * near
        odd, even = _single(_ODD[0]), _single(_EVEN[0])
        for factor in _ODD[1:]:
            odd = square * odd + _single(factor)
        for factor in _EVEN[1:]:
            even = square * even + _single(factor)
        return near * odd / even

    return te.compute(x.shape, value, name="erf")


def _single(value: float) -> Any:
    return tvm.tirx.const(value, "float32")


def _gelu(x: te.Tensor) -> te.Tensor:
    error = _erf(te.compute(x.shape, lambda *i: x(*i) * (0.5**0.5), name="scaled"))
    return te.compute(x.shape, lambda *i: 0.5 * x(*i) * (1 + error(*i)), name="gelu")


def _softmax(x: te.Tensor, axis: int, lanes: int) -> te.Tensor:
    """``topi.nn.fast_softmax``, of rows that are filled up to whole vectors with what adds nothing."""
    *rows, length = (int(size) for size in x.shape)
    more = -length % lanes
    if axis % len(x.shape) != len(rows) or not more or length < lanes:
        return topi.nn.fast_softmax(x, axis)

    def filled(*i: Any) -> Any:
        return tvm.tirx.if_then_else(i[-1] < length, x(*i), tvm.tirx.min_value("float32"))

    made = topi.nn.fast_softmax(te.compute((*rows, length + more), filled, name="filled"), axis)
    return te.compute(x.shape, lambda *i: made(*i), name="softmax")


def _isnan(x: te.Tensor) -> te.Tensor:
    """``topi.isnan``, which TVM's code generator asks of each element by itself."""

    def value(*i: Any) -> Any:
        bits = tvm.tirx.reinterpret("int32", x(*i)) & tvm.tirx.const(0x7FFFFFFF, "int32")
        return bits > tvm.tirx.const(0x7F800000, "int32")

    return te.compute(x.shape, value, name="isnan")


_ELEMENTWISE: dict[str, Callable[[te.Tensor], te.Tensor]] = {
    "relax.exp": topi.fast_exp,
    "relax.erf": _erf,
    "relax.tanh": topi.fast_tanh,
    "relax.sigmoid": _sigmoid,
    "relax.nn.silu": _silu,
    "relax.nn.gelu": _gelu,
    "relax.isnan": _isnan,
}


@relax.expr_functor.mutator
class _Polynomials(relax.expr_functor.PyExprMutator):  # type: ignore[misc]
    def __init__(self, module: IRModule, target: Target) -> None:
        super().__init__(module)
        self._lanes = vector_bits(target) // 32

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        name = call.op.name if isinstance(call.op, tvm.ir.Op) else ""
        if name in _ELEMENTWISE and _float32(call.args[0]):
            return self.builder_.call_te(
                _ELEMENTWISE[name], *call.args, primfunc_name_hint=name.split(".")[-1]
            )
        if name == "relax.nn.softmax" and _float32(call):
            return self.builder_.call_te(
                _softmax, *call.args, int(call.attrs.axis), self._lanes, primfunc_name_hint="softmax"
            )
        return super().visit_call_(call)


def _has_functions(module: IRModule) -> bool:
    found = []

    def visit(expr: Any) -> None:
        if isinstance(expr, relax.Call) and isinstance(expr.op, tvm.ir.Op):
            found.append(expr.op.name)

    relax.analysis.post_order_visit(module["main"], visit)
    return any(name in _ELEMENTWISE or name == "relax.nn.softmax" for name in found)


def _float32(expr: Any) -> bool:
    return str(expr.ty.dtype) == "float32"
