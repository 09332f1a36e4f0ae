"""Tensors put side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tvm import relax

from workers.engines.metaschedule.layouts.table import Made, operator
from workers.engines.metaschedule.layouts.tensors import Blocked, shape_of

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []


@operator("relax.concat")
def _concatenated(blocks: Blocks, call: relax.Call) -> Made:
    parts = list(call.args[0]) if isinstance(call.args[0], relax.Tuple) else []
    shapes = [shape_of(part) for part in parts]
    if call.attrs.axis is None or not all(shape is not None and len(shape) == 4 for shape in shapes):
        return None
    axis, there = int(call.attrs.axis), [blocks.of(part) for part in parts]
    known = [found.block for found in there if found is not None]
    sizes = [math.prod(shape or ()) for shape in shapes]
    inside = sum(size for size, found in zip(sizes, there, strict=True) if found is not None)
    # What is mostly in NCHW stays there.
    if not known or 2 * inside < sum(sizes):
        return None
    channels = [shape[1] for shape in shapes if shape is not None]
    if blocks.layout == "nhwc":
        laid = [blocks.blocked(part, count) for part, count in zip(parts, channels, strict=True)]
        block = sum(channels) if axis == 1 else channels[0]
        return Blocked(relax.op.concat(laid, axis=4 if axis == 1 else axis), block)
    # No block may reach from one part into the next.
    block = blocks.choose(math.gcd(*channels))
    if len(known) == len(parts):
        least = min(known)
        block = block if any(one % least for one in known) else least
    if not block:
        return None
    return Blocked(relax.op.concat([blocks.blocked(part, block) for part in parts], axis=axis), block)
