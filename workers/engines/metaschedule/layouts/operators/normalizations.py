"""Normalization over the channels of each place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm import relax

from workers.engines.metaschedule.layouts.table import Made, operator_on_blocks
from workers.engines.metaschedule.layouts.tensors import Blocked, dtype_of

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []


@operator_on_blocks("relax.nn.layer_norm")
def _normalized(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    attrs = call.attrs
    if [int(axis) % 4 for axis in attrs.axes] != [1]:
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
        axes=[1, 4],
        epsilon=float(attrs.epsilon),
        center=bool(attrs.center),
        scale=bool(attrs.scale),
    )
    return Blocked(made, data.block)
