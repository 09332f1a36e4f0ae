"""What is computed element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tvm import relax, topi
from tvm.relax.utils import gen_call_tir_inputs
from tvm_ffi import structural_equal

from workers.engines.metaschedule.layouts.table import Made, operator, operator_on_blocks
from workers.engines.metaschedule.layouts.tensors import Blocked, shape_of
from workers.engines.metaschedule.layouts.transforms import in_blocks

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []

_UNARY = (
    *("nn.relu", "nn.leakyrelu", "nn.silu", "nn.gelu", "nn.softplus", "sigmoid", "tanh", "erf", "clip"),
    *("exp", "log", "sqrt", "rsqrt", "square", "abs", "negative", "floor", "ceil", "round", "astype"),
)
_BINARY = ("add", "subtract", "multiply", "divide", "power", "maximum", "minimum")


@operator_on_blocks(*(f"relax.{name}" for name in _UNARY))
def _of_one(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    made = relax.Call(call.op, [data.tensor, *map(blocks.visit_expr, call.args[1:])], call.attrs)
    return Blocked(made, data.block)


@operator(*(f"relax.{name}" for name in _BINARY))
def _of_two(blocks: Blocks, call: relax.Call) -> Made:
    return _meeting(blocks, call, getattr(relax.op, call.op.name.removeprefix("relax.")), *call.args)


@operator("relax.call_tir")
def _kernel(blocks: Blocks, call: relax.Call) -> Made:
    """Recognize the kernels that the importer writes for Clip: they are operators, already lowered."""
    name = call.args[0].name_hint.rstrip("0123456789")
    lowered = {"maximum": topi.maximum, "minimum": topi.minimum}.get(name)
    arguments = list(call.args[1])
    if lowered is None or len(arguments) != 2:
        return None
    expected, _, _ = gen_call_tir_inputs(lowered, *(relax.Var("x", arg.ty) for arg in arguments))
    found = blocks.module[call.args[0]]
    if not structural_equal(*(func.with_attr("global_symbol", "main") for func in (expected, found))):
        return None
    return _meeting(blocks, call, getattr(relax.op, name), *arguments)


def _meeting(
    blocks: Blocks,
    call: relax.Call,
    made_by: Callable[..., relax.Expr],
    one: relax.Expr,
    two: relax.Expr,
) -> Made:
    shape = shape_of(call)
    there = [blocks.of(arg) for arg in (one, two) if shape_of(arg) == shape]
    known = [found for found in there if found is not None]
    if not known or shape is None:
        return None
    block = known[0].block
    sides = [_side(blocks, arg, block) for arg in (one, two)]
    return None if None in sides else Blocked(made_by(*sides), block)


def _side(blocks: Blocks, arg: relax.Expr, block: int) -> relax.Expr | None:
    """Return one side of an elementwise operator so that it meets one in blocks."""
    shape = shape_of(arg)
    if shape is None:
        return None
    if len(shape) == 0:
        return blocks.visit_expr(arg)
    value = blocks.constant(arg)
    if value is not None:
        dims = [1] * (4 - value.ndim) + list(value.shape)
        return relax.const(in_blocks(value.reshape(dims), 1 if dims[1] == 1 else block))
    if len(shape) != 4:
        return None
    if shape[1] == 1:
        there = blocks.of(arg)
        return relax.op.reshape(blocks.visit_expr(arg), [*shape, 1]) if there is None else there.tensor
    return blocks.blocked(arg, block)
