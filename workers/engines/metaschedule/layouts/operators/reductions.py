"""Means and their like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm import relax

from workers.engines.metaschedule.layouts.table import Made, operator_on_blocks
from workers.engines.metaschedule.layouts.tensors import Blocked

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []


@operator_on_blocks("relax.mean")
def _averaged(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    if not call.attrs.keepdims or sorted(map(int, call.attrs.axis)) != [2, 3]:
        return None
    return Blocked(relax.op.mean(data.tensor, axis=[2, 3], keepdims=True), data.block)
