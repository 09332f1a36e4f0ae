"""Axes as positions: not counted from the end, in order, and all of them where none are named.

Exporters write the mean of an image as one over [-1, -2], over [2, 3], or over [3, 2]. Whatever looks for an
operator by its axes finds it in one form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import tvm
from tvm import relax
from tvm.ir import IRModule

from workers.engines.metaschedule.layouts.tensors import op_name

__all__ = ["with_plain_axes"]

_REDUCTIONS = ("mean", "sum", "max", "min", "prod", "variance", "std")
# By the name of what they are in the attributes. An axis that isn't there means a flat tensor, and stays so.
_ONE: dict[str, str] = {
    f"relax.{name}": "axis"
    for name in (
        *("argmax", "argmin", "concat", "split", "nn.softmax", "nn.log_softmax", "nn.prelu", "nn.batch_norm"),
        *("cumsum", "cumprod", "take", "flip", "gather_elements", "scatter_elements", "sort", "argsort"),
        *("topk", "repeat"),
    )
}
# The order says which is which.
_ORDERED: dict[str, str] = {
    "relax.permute_dims": "axes",
    **{f"relax.nn.{name}": "axes" for name in ("layer_norm", "rms_norm", "group_norm", "instance_norm")},
}


def with_plain_axes(module: IRModule) -> IRModule:
    """Return a model whose operators name their axes from the front, each once, in order where that is free.

    No kernel becomes another by it.
    """
    rewrite = _PlainAxes(module)
    rewrite.builder_.update_func(module.get_global_var("main"), rewrite.visit_expr(module["main"]))
    return rewrite.builder_.finalize()


@relax.expr_functor.mutator
class _PlainAxes(relax.expr_functor.PyExprMutator):  # type: ignore[misc]
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = super().visit_call_(call)
        name = op_name(call)
        rank = _rank(call.args[0]) if len(call.args) else None
        if name in _ONE and _axis(call) is not None:
            rank = _rank(call.args[0][0]) if isinstance(call.args[0], relax.Tuple) else rank
            return _with(call, _ONE[name], rank, lambda axis, rank: _front([axis], rank)[0])
        if name in _ORDERED:
            return _with(call, _ORDERED[name], rank, _every_one_reversed)
        if name.removeprefix("relax.") in _REDUCTIONS:
            return _with(call, "axis", rank, _sorted)
        if name == "relax.squeeze":
            ones = [n for n, size in enumerate(_sizes(call.args[0]) or ()) if size == 1]
            known = _axis(call) is not None or _sizes(call.args[0]) is not None
            return (
                _with(
                    call, "axis", rank, lambda axes, rank: _front(ones if axes is None else axes, rank, True)
                )
                if known
                else call
            )
        if name == "relax.expand_dims":
            return _with(call, "axis", _rank(call), _sorted)
        if name == "relax.strided_slice":
            return _sliced(call, rank)
        return call


def _with(call: Any, attribute: str, rank: int | None, plain: Callable[[Any, int], Any]) -> relax.Call:
    """Return a call with an attribute in its plain form; the same, where it has that already."""
    if rank is None:
        return call
    attrs = call.attrs
    had = getattr(attrs, attribute)
    had = had if had is None or isinstance(had, int) else [int(axis) for axis in had]
    made = plain(had, rank)
    if made == had:
        return call
    info = type(attrs).__tvm_ffi_type_info__
    fields = {field.name: getattr(attrs, field.name) for field in info.fields} | {attribute: made}
    return relax.Call(call.op, call.args, tvm.ir.make_node(info.type_key, **fields), call.ty_args)


def _front(axes: Iterable[int], rank: int, in_order: bool = False) -> list[int]:
    positions = [int(axis) % rank for axis in axes]
    return sorted(set(positions)) if in_order else positions


def _sorted(axes: list[int] | None, rank: int) -> list[int]:
    return _front(range(rank) if axes is None else axes, rank, True)


def _every_one_reversed(axes: list[int] | None, rank: int) -> list[int]:
    return _front(reversed(range(rank)) if axes is None else axes, rank)


def _sliced(call: Any, rank: int | None) -> relax.Call:
    """Return a slice, whose axes are an argument."""
    data, axes, *bounds = call.args
    parts = [axes, *bounds]
    if rank is None or not all(isinstance(part, relax.Tuple) for part in parts):
        return call
    positions = _front([axis.value for axis in axes], rank)
    order = sorted(range(len(positions)), key=positions.__getitem__)
    if positions == [int(axis.value) for axis in axes] and order == list(range(len(positions))):
        return call
    ordered = [relax.Tuple([relax.prim_value(positions[n]) for n in order])]
    ordered += [relax.Tuple([bound[n] for n in order]) for bound in bounds]
    return relax.Call(call.op, [data, *ordered], call.attrs, call.ty_args)


def _axis(call: Any) -> Any:
    return call.attrs.axis


def _rank(expr: Any) -> int | None:
    rank = getattr(expr.ty, "ndim", None)
    return int(rank) if rank is not None and int(rank) > 0 else None


def _sizes(expr: Any) -> tuple[Any, ...] | None:
    shape = getattr(expr.ty, "shape", None)
    return tuple(shape.values) if isinstance(shape, relax.ShapeExpr) else None
