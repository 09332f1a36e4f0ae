"""Tensors put side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tvm import relax

from workers.engines.metaschedule.layouts.channels import Channels
from workers.engines.metaschedule.layouts.joined import Joined, beside, whole
from workers.engines.metaschedule.layouts.table import Made, operator
from workers.engines.metaschedule.layouts.tensors import Blocked, shape_of

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []


@operator("relax.concat")
def _concatenated(blocks: Blocks, call: relax.Call) -> Made:
    parts = list(call.args[0]) if isinstance(call.args[0], relax.Tuple) else []
    shapes = [shape_of(part) for part in parts]
    rank = max((len(shape) for shape in shapes if shape is not None), default=0)
    if call.attrs.axis is None or rank not in (4, 5) or any(shape is None for shape in shapes):
        return None
    axis = int(call.attrs.axis)
    if axis == 1 and blocks.layout != "nhwc":
        return _side_by_side(blocks, parts, [shape for shape in shapes if shape is not None])
    there = [blocks.of(part) for part in parts]
    sizes = [math.prod(shape or ()) for shape in shapes]
    inside = sum(size for size, found in zip(sizes, there, strict=True) if found is not None)
    # What is mostly in NCHW stays there.
    if not any(there) or 2 * inside < sum(sizes):
        return None
    channels = [shape[1] for shape in shapes if shape is not None]
    if blocks.layout == "nhwc":
        placed = [Channels.in_order(count, count) for count in channels]
        laid = [blocks.blocked(part, one) for part, one in zip(parts, placed, strict=True)]
        count = sum(channels) if axis == 1 else channels[0]
        return Blocked(
            relax.op.concat(laid, axis=rank if axis == 1 else axis), Channels.in_order(count, count)
        )
    # Their channels have to be in the same places: those of the largest.
    largest = max((found for found in there if found is not None), key=lambda one: math.prod(one.sizes))
    laid = [blocks.blocked(part, largest.channels) for part in parts]
    return Blocked(relax.op.concat(laid, axis=axis), largest.channels)


def _side_by_side(blocks: Blocks, parts: Sequence[relax.Expr], shapes: Sequence[tuple[int, ...]]) -> Made:
    """Put channels beside channels."""
    there = [blocks.joined(part) for part in parts]
    sizes = [math.prod(shape) for shape in shapes]
    inside = sum(size for size, found in zip(sizes, there, strict=True) if found is not None)
    # What is mostly in NCHW stays there.
    if not any(there) or 2 * inside < sum(sizes):
        return None
    block = _common_block(blocks, there, sizes, [shape[1] for shape in shapes])
    if not block:
        return None

    def laid(part: relax.Expr, found: Joined | None, count: int) -> Joined:
        if found is not None and found.parts[0].block == block:
            return found
        channels = Channels.in_order(count, block)
        return whole(Blocked(blocks.blocked(part, channels), channels))

    counts = [shape[1] for shape in shapes]
    return beside(laid(*one) for one in zip(parts, there, counts, strict=True))


def _common_block(
    blocks: Blocks, there: Sequence[Joined | None], sizes: Sequence[int], channels: Sequence[int]
) -> int:
    """Return the block for parts put side by side; 0 where there is none."""
    known = {found.parts[0].block for found in there if found is not None}
    # None may reach from one part into the next, but for places that hold no channel.
    if blocks.fills:
        inside = dict.fromkeys(sorted(known, reverse=True), 0)
        for size, found in zip(sizes, there, strict=True):
            if found is not None:
                inside[found.parts[0].block] += size
        return max(inside, key=lambda block: inside[block])
    shared = blocks.choose(math.gcd(*channels))
    least = min(known)
    if None not in there and not any(block % least for block in known):
        return least
    return shared.block if shared else 0
