"""Rows and columns taken by their numbers, as resizing is written where no operator has its mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm import relax

from workers.engines.metaschedule.layouts.table import Made, operator_on_blocks
from workers.engines.metaschedule.layouts.tensors import Blocked

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []


@operator_on_blocks("relax.take")
def _taken(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    axis, rank = call.attrs.axis, len(data.shape)
    if axis is None or int(axis) % rank < 2 or int(call.args[1].ty.ndim) != 1:
        return None
    numbers = blocks.visit_expr(call.args[1])
    return Blocked(relax.op.take(data.tensor, numbers, int(axis) % rank, str(call.attrs.mode)), data.channels)
