"""Numbers rounded to a few, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm import relax

from workers.engines.metaschedule.layouts.table import Made, operator_on_blocks
from workers.engines.metaschedule.layouts.tensors import Blocked

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []


@operator_on_blocks("relax.quantize", "relax.dequantize")
def _quantized(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    """Quantize all elements alike."""
    sides = [blocks.constant(arg) for arg in call.args[1:]]
    if any(side is None or side.size != 1 for side in sides):
        return None
    made = relax.Call(call.op, [data.tensor, *map(blocks.visit_expr, call.args[1:])], call.attrs)
    return Blocked(made, data.channels)
