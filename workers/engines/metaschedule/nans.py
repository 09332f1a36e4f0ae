"""NaN through functions that compare.

``max(x, 0)`` is ``x > 0 ? x : 0``, which makes 0 of NaN; so are ReLU, a clip, and all that is written with
them. onnxruntime keeps NaN (apache/tvm 19572, 19540). ``max(0, x)`` is ``0 > x ? 0 : x``, which keeps it at
no cost, in LLVM's code: CUDA's ``fmaxf`` drops it in either order.

Looked for instead, ``isnan(x) ? x : max(x, y)``, each number is read three times, for which see
:mod:`~.repetition`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tvm import relax
from tvm.ir import IRModule
from tvm.target import Target

from workers.engines.metaschedule.layouts.tensors import constant_of, op_name

__all__ = ["with_nans_kept"]

# What is tuned, by how their names begin. Behind them a function is part of their kernel, of which there are
# records, and a NaN comes of a weight or an input alone.
_HEAVY = (
    "relax.matmul",
    "relax.einsum",
    "relax.nn.attention",
    "relax.nn.conv",
    "relax.nn.avg_pool",
    "relax.nn.max_pool",
    "relax.nn.adaptive_",
    "relax.nn.batch_norm",
    "relax.nn.group_norm",
    "relax.nn.instance_norm",
    "relax.nn.layer_norm",
    "relax.nn.rms_norm",
)


def with_nans_kept(module: IRModule, target: Target) -> IRModule:
    """Return a model in which ReLU and its like keep NaN, where nothing before them is worth tuning.

    A model without such a function is returned as it is.
    """
    found = _found(module["main"])
    if not found:
        return module
    rewrite = _Kept(module, found, ordered=target.kind.name == "llvm")
    rewrite.builder_.update_func(module.get_global_var("main"), rewrite.visit_expr(module["main"]))
    return rewrite.builder_.finalize()


def _found(main: Any) -> dict[Any, list[Any]]:
    """Return the calls that compare what no heavy operator has made, each with what it compares."""
    made: set[Any] = set()
    found: dict[Any, list[Any]] = {}
    values: dict[Any, Any] = {}
    for block in main.body.blocks:
        for binding in block.bindings:
            value = values[binding.var] = binding.value
            if op_name(value).startswith(_HEAVY) or any(
                one in made for one in relax.analysis.free_vars(value)
            ):
                made.add(binding.var)
            elif compared := _compared(value, values):
                found[value] = compared
    return found


def _compared(value: Any, values: dict[Any, Any]) -> list[Any]:
    """Return what a call compares; nothing of a call of another kind, and of integers."""
    name = op_name(value)
    if name == "relax.call_tir" and value.args[0].name_hint.startswith(("maximum", "minimum")):
        compared = list(value.args[1])  # as the frontend writes ONNX's Clip
    elif name in ("relax.max", "relax.min") and op_name(values.get(value.args[0])) == "relax.stack":
        compared = list(values[value.args[0]].args[0])  # and its Max and Min
    elif name in ("relax.max", "relax.min"):
        compared = [value.args[0]]
    elif name in ("relax.maximum", "relax.minimum"):
        compared = list(value.args)
    elif name in ("relax.nn.relu", "relax.clip", "relax.sign"):
        compared = [value.args[0]]
    else:
        return []
    # What has no axis is a limit.
    return [one for one in compared if str(one.ty.dtype).startswith(("float", "bfloat")) and one.ty.ndim]


@relax.expr_functor.mutator
class _Kept(relax.expr_functor.PyExprMutator):  # type: ignore[misc]
    def __init__(self, module: IRModule, found: dict[Any, list[Any]], *, ordered: bool) -> None:
        super().__init__(module)
        self._found, self._ordered = found, ordered

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        compared = self._found.get(call)
        value = super().visit_call_(call)
        if compared is None:
            return value
        if len(compared) == 1 and op_name(value) in ("relax.max", "relax.min"):
            return self._reduced(value)
        if self._ordered and (limited := self._limited(value)) is not None:
            return limited
        for x in map(self.visit_expr, compared):
            value = self.builder_.emit(value)
            value = relax.op.where(self.builder_.emit(relax.op.isnan(x)), x, value)
        return value

    def _limited(self, call: relax.Call) -> relax.Expr | None:
        """Return what compares a tensor with limits, with these put first; None for another call.

        A limit is no NaN: a constant, or what the frontend makes of a clip's, of which NaN is none at all.
        """
        name, (x, *limits) = op_name(call), call.args
        if name == "relax.nn.relu":
            return relax.op.maximum(_number(0, x), x)
        if name == "relax.clip":
            low, high = (_number(float(one.value), x) for one in limits)
            return relax.op.minimum(high, self.builder_.emit(relax.op.maximum(low, x)))
        if name == "relax.call_tir" and len(limits[0]) == 2 and not limits[0][1].ty.ndim:
            name, (x, *limits) = x.name_hint, limits[0]
        elif name not in ("relax.maximum", "relax.minimum") or not _is_number(limits[0]):
            return None
        return (relax.op.maximum if "maximum" in name else relax.op.minimum)(limits[0], x)

    def _reduced(self, call: relax.Call) -> relax.Expr:
        """The largest of what compares, or NaN where that comes first.

        As onnxruntime has it but for rows in which its vectors happen to meet NaN in another order.
        """
        x, rank, emit = call.args[0], call.args[0].ty.ndim, self.builder_.emit
        axes = [int(one) % rank for one in (call.attrs.axis if call.attrs.axis is not None else range(rank))]
        worst = -math.inf if call.op.name == "relax.max" else math.inf
        limit = relax.const(worst, str(x.ty.dtype))
        numbers = emit(relax.op.where(emit(relax.op.isnan(x)), limit, x))
        reduce = relax.op.max if call.op.name == "relax.max" else relax.op.min
        value = emit(reduce(numbers, axes, bool(call.attrs.keepdims)))
        zeros, ones = [0] * len(axes), [1] * len(axes)
        first = emit(relax.op.strided_slice(x, axes, zeros, ones))
        if not call.attrs.keepdims:
            first = emit(relax.op.squeeze(first, axes))
        return relax.op.where(emit(relax.op.isnan(first)), first, value)


def _is_number(arg: Any) -> bool:
    """Say whether an argument is a constant, and no NaN."""
    value = constant_of(arg)
    return value is not None and not np.isnan(value).any()


def _number(value: float, like: Any) -> Any:
    return relax.const(value, str(like.ty.dtype))
