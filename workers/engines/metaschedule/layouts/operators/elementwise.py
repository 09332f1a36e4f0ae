"""What is computed element by element."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax, topi
from tvm.relax.utils import gen_call_tir_inputs
from tvm_ffi import structural_equal

from workers.engines.metaschedule.layouts.channels import Channels
from workers.engines.metaschedule.layouts.table import Made, operator, operator_on_blocks
from workers.engines.metaschedule.layouts.tensors import Blocked, View, dtype_of, shape_of
from workers.engines.metaschedule.layouts.transforms import in_blocks
from workers.engines.metaschedule.layouts.views import of_groups
from workers.engines.metaschedule.rounding import is_rounding, rounded

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__ = ["cleared"]

_UNARY = (
    *("abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "bitwise_not", "ceil", "cos", "cosh", "erf"),
    *("exp", "floor", "isfinite", "isinf", "isnan", "log", "logical_not", "negative", "round", "rsqrt"),
    *("sigmoid", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc", "clip", "astype"),
    *("nn.relu", "nn.relu6", "nn.leakyrelu", "nn.silu", "nn.gelu", "nn.gelu_tanh", "nn.selu", "nn.softplus"),
)
# What may make something else than a number of a number that means nothing.
_UNBOUNDED = ("acos", "acosh", "asin", "atanh", "cosh", "exp", "log", "rsqrt", "sinh", "sqrt", "tan")
_DIVISIONS = ("divide", "mod", "floor_divide", "floor_mod")
_BROADCAST = (
    *("add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "mod", "floor_divide"),
    *("floor_mod", "equal", "not_equal", "greater", "greater_equal", "less", "less_equal", "logical_and"),
    *("logical_or", "logical_xor", "where"),
)


@operator(*(f"relax.{name}" for name in _UNARY))
def _of_one(blocks: Blocks, call: relax.Call) -> Made:
    def made(data: relax.Expr) -> relax.Expr:
        return relax.Call(call.op, [data, *map(blocks.visit_expr, call.args[1:])], call.attrs)

    data, view = blocks.of(call.args[0]), blocks.view(call.args[0])
    if data is not None:
        there = Blocked(made(data.tensor), data.channels)
        return cleared(blocks, there) if call.op.name.removeprefix("relax.") in _UNBOUNDED else there
    if view is not None:
        return View(Blocked(made(view.data.tensor), view.data.channels), view.shape)
    return None


@operator(*(f"relax.{name}" for name in _BROADCAST))
def _of_several(blocks: Blocks, call: relax.Call) -> Made:
    name = call.op.name.removeprefix("relax.")
    divides = name in _DIVISIONS
    made = _meeting(blocks, call, getattr(relax.op, name), call.args, int(divides))
    # Nothing is divided by the places of a constant that hold nothing: they are 1.
    safe = not divides or blocks.constant(call.args[1]) is not None
    return made if not isinstance(made, Blocked) or (safe and name != "power") else cleared(blocks, made)


@operator_on_blocks("relax.broadcast_to")
def _repeated(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    shape = shape_of(call)
    if shape is None or len(shape) != len(data.shape) or shape[1] != data.channels.count:
        return None
    laid = (shape[0], data.channels.size // data.block, *shape[2:], data.block)
    return Blocked(relax.op.broadcast_to(data.tensor, laid), data.channels)


@operator("relax.nn.prelu")
def _sloping(blocks: Blocks, call: relax.Call) -> Made:
    data, slope = call.args
    shape, slopes = shape_of(data), blocks.constant(slope)
    there = blocks.of(data)
    if there is None or shape is None or slopes is None:
        return None
    dims = [1] * len(shape)
    dims[int(call.attrs.axis)] = slopes.size
    laid = _constant(slopes.reshape(dims), there.channels)
    emit = blocks.builder_.emit
    above = emit(relax.op.greater(there.tensor, relax.const(0.0, dtype_of(data))))
    below = emit(relax.op.multiply(there.tensor, laid))
    return Blocked(relax.op.where(above, there.tensor, below), there.channels)


@operator("relax.call_tir")
def _kernel(blocks: Blocks, call: relax.Call) -> Made:
    """Recognize the kernels that the importer writes for Clip: they are operators, already lowered.

    And what rounds to bfloat16, for which there is no operator.
    """
    if is_rounding(call):
        data = blocks.of(call.args[1][0])
        return None if data is None else Blocked(rounded(blocks.builder_, data.tensor), data.channels)
    name = call.args[0].name_hint.rstrip("0123456789")
    lowered = {"maximum": topi.maximum, "minimum": topi.minimum}.get(name)
    arguments = list(call.args[1])
    if lowered is None or len(arguments) != 2:
        return None
    expected, _, _ = gen_call_tir_inputs(lowered, *(relax.Var("x", arg.ty) for arg in arguments))
    found = blocks.module[call.args[0]]
    if not structural_equal(*(func.with_attr("global_symbol", "main") for func in (expected, found))):
        return None
    return _meeting(blocks, call, getattr(relax.op, name), arguments)


def cleared(blocks: Blocks, data: Blocked, value: float = 0) -> Blocked:
    """Return a tensor with a number in the places that hold no channel."""
    if data.channels.full:
        return data
    tensor = blocks.builder_.emit(data.tensor)
    holds = np.zeros((1, data.channels.size, *[1] * (len(data.shape) - 2)), "bool")
    holds[:, list(data.channels.places)] = True
    there = relax.const(in_blocks(holds, data.block), "bool")
    made = relax.op.where(there, tensor, relax.const(value, dtype_of(tensor)))
    return Blocked(blocks.builder_.emit(made), data.channels)


def _meeting(
    blocks: Blocks,
    call: relax.Call,
    made_by: Callable[..., relax.Expr],
    arguments: Sequence[relax.Expr],
    fill: int = 0,
) -> Made:
    """Return what operands of one shape, or broadcast to one, give where one of them is in blocks.

    Parameters
    ----------
    fill : int
        What is in places of constants that hold no channel.
    """
    shape = shape_of(call)
    views = [view for view in map(blocks.view, arguments) if view is not None]
    if views and shape == views[0].shape:
        found = [of_groups(blocks, views[0], arg) for arg in arguments]
        data = views[0].data
        return None if None in found else View(Blocked(made_by(*found), data.channels), views[0].shape)
    if shape is None:
        return None
    there = [found for found in map(blocks.of, arguments) if found is not None]
    known = [found for found in there if found.shape[1:2] == shape[1:2] and len(found.shape) == len(shape)]
    if not known:
        return None
    # The others are brought into its blocks: what is one number for each channel needs no transform for it.
    channels = max(known, key=lambda found: math.prod(found.sizes)).channels
    sides = [_side(blocks, arg, channels, len(shape), fill) for arg in arguments]
    return None if None in sides else Blocked(made_by(*sides), channels)


def _side(blocks: Blocks, arg: relax.Expr, channels: Channels, rank: int, fill: int) -> relax.Expr | None:
    """Return an operand so that it meets one of so many axes whose channels are in blocks."""
    shape = shape_of(arg)
    if shape is None:
        return None
    if len(shape) == 0:
        return blocks.visit_expr(arg)
    dims = [*[1] * (rank - len(shape)), *shape]
    value = blocks.constant(arg)
    if value is not None:
        return _constant(value.reshape(dims), channels, fill)
    if dims[1] == 1:
        there = blocks.of(arg)
        return relax.op.reshape(blocks.visit_expr(arg), [*dims, 1]) if there is None else there.tensor
    if len(shape) == rank:
        return blocks.blocked(arg, channels)
    return blocks.reblocked(blocks.builder_.emit(relax.op.reshape(blocks.visit_expr(arg), dims)), channels)


def _constant(value: np.ndarray, channels: Channels, fill: int = 0) -> relax.Expr:
    """Return a constant, (N, C, H, W) or 1 for any of them, so that it meets channels in blocks."""
    every = value.shape[1] == channels.count
    laid = in_blocks(channels.spread(value, 1, fill), channels.block) if every else in_blocks(value, 1)
    return relax.const(laid, str(value.dtype))
