"""Normalizations that are one operator; as others are exported, they are means and products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm import relax

from workers.engines.metaschedule.layouts.operators.elementwise import cleared
from workers.engines.metaschedule.layouts.table import Made, operator_on_blocks
from workers.engines.metaschedule.layouts.tensors import Blocked, View, dtype_of
from workers.engines.metaschedule.layouts.transforms import in_blocks
from workers.engines.metaschedule.layouts.views import of_groups, reduced

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []


@operator_on_blocks("relax.nn.group_norm")
def _group_norm(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    """Normalize groups of channels, (x - mean) / sqrt(variance + epsilon), in two passes."""
    attrs, emit = call.attrs, blocks.builder_.emit
    groups, (batch, channels, height, width) = int(attrs.num_groups), data.sizes
    each = channels // groups
    fits = data.is_image and data.channels.plain and (each % data.block == 0 or data.block % each == 0)
    over = [int(attrs.channel_axis), *map(int, attrs.axes)]
    if not fits or over != [1, 2, 3] or dtype_of(data.tensor) != "float32":
        return None
    view = View(data, (batch, groups, each * height * width))
    mean, variance = (
        emit(relax.op.reshape(emit(reduced(blocks, view, name)), [batch, groups, 1]))
        for name in ("mean", "variance")
    )
    spread = emit(relax.op.sqrt(emit(relax.op.add(variance, relax.const(float(attrs.epsilon), "float32")))))
    made = emit(relax.op.subtract(data.tensor, of_groups(blocks, view, mean)))
    made = emit(relax.op.divide(made, of_groups(blocks, view, spread)))
    laid = [1, channels // data.block, 1, 1, data.block]
    for wanted, arg, by in ((attrs.scale, 1, relax.op.multiply), (attrs.center, 2, relax.op.add)):
        if wanted:
            made = emit(by(made, emit(relax.op.reshape(blocks.visit_expr(call.args[arg]), laid))))
    return Blocked(made, data.channels)


@operator_on_blocks("relax.nn.layer_norm")
def _layer_norm(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    """Normalize over the channels of each place."""
    attrs = call.attrs
    if [int(axis) % 4 for axis in attrs.axes] != [1]:
        return None
    if not data.channels.full:
        return _over_some(blocks, call, data)
    if not data.channels.ordered:
        return None
    values = [blocks.constant(arg) for arg in call.args[1:]]
    sides = [
        blocks.builder_.emit(relax.op.reshape(blocks.visit_expr(arg), [-1, data.block]))
        if value is None
        else relax.const(value.reshape(-1, data.block), dtype_of(arg))
        for arg, value in zip(call.args[1:], values, strict=True)
    ]
    made = relax.op.nn.layer_norm(
        data.tensor,
        *sides,
        axes=[1, len(data.shape)],
        epsilon=float(attrs.epsilon),
        center=bool(attrs.center),
        scale=bool(attrs.scale),
    )
    return Blocked(made, data.channels)


def _over_some(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    """Normalize over the channels of each place, where blocks have places without one."""
    attrs, emit, dtype = call.attrs, blocks.builder_.emit, dtype_of(data.tensor)
    sides = [blocks.constant(arg) for arg in call.args[1:]]
    if dtype != "float32" or any(side is None for side in sides):
        return None
    count, rank = relax.const(data.channels.count, dtype), len(data.shape)

    def mean(of: relax.Expr) -> relax.Expr:
        held = cleared(blocks, Blocked(of, data.channels)).tensor
        return emit(relax.op.divide(emit(relax.op.sum(held, axis=[1, rank], keepdims=True)), count))

    apart = emit(relax.op.subtract(data.tensor, mean(data.tensor)))
    variance = mean(emit(relax.op.multiply(apart, apart)))
    spread = emit(relax.op.sqrt(emit(relax.op.add(variance, relax.const(float(attrs.epsilon), dtype)))))
    made = emit(relax.op.divide(apart, spread))
    for wanted, side, by in zip(
        (attrs.scale, attrs.center), sides, (relax.op.multiply, relax.op.add), strict=True
    ):
        if wanted and side is not None:
            laid = in_blocks(data.channels.spread(side.reshape(1, -1, *[1] * (rank - 2)), 1), data.block)
            made = emit(by(made, relax.const(laid, dtype)))
    return Blocked(made, data.channels)
