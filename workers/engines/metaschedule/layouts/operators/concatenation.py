"""Tensors put side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm import relax

from workers.engines.metaschedule.layouts.table import Made, operator
from workers.engines.metaschedule.layouts.tensors import Blocked

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []


@operator("relax.concat")
def _concatenated(blocks: Blocks, call: relax.Call) -> Made:
    parts = list(call.args[0]) if isinstance(call.args[0], relax.Tuple) else []
    if call.attrs.axis is None or int(call.attrs.axis) not in (1, -3):
        return None
    there = [found for found in map(blocks.of, parts) if found is not None]
    if not parts or len(there) < len(parts):
        return None
    if blocks.layout == "nhwc":
        together = relax.op.concat([part.tensor for part in there], axis=4)
        return Blocked(together, sum(part.block for part in there))
    least = min(part.block for part in there)
    if any(part.block % least for part in there):
        return None
    return Blocked(relax.op.concat([blocks.blocked(part, least) for part in parts], axis=1), least)
