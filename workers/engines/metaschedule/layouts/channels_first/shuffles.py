"""Channels shuffled, or made places and back: a reshape, a permute, and a reshape, as one operator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tvm import relax, tirx

from workers.engines.metaschedule.layouts.tensors import is_call, shape_of

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.channels_first.images import Images

__all__ = ["shuffled"]


def shuffled(images: Images, call: relax.Call) -> relax.Expr | None:
    """Return what a reshape makes of an image whose axes were split and permuted; None if it is none.

    That is ChannelShuffle, PixelShuffle, DepthToSpace and SpaceToDepth, which have no operators of their own.
    """
    shape, permute = shape_of(call), images.value(call.args[0])
    if shape is None or len(shape) != 4 or not is_call(permute, "relax.permute_dims"):
        return None
    split = images.value(permute.args[0])
    if permute.attrs.axes is None or not is_call(split, "relax.reshape"):
        return None
    source, parts = images.image(split.args[0]), shape_of(permute.args[0])
    if source is None or not source.is_image or parts is None:
        return None
    order = [int(axis) for axis in permute.attrs.axes]
    taken = _runs(parts, source.sizes)
    made = _runs([parts[axis] for axis in order], shape)
    if (
        taken is None
        or made is None
        or any(order[n] not in taken[0] for n in made[0] if parts[order[n]] != 1)
    ):
        return None

    def places(*index: Any) -> list[Any]:
        inner: dict[int, Any] = {}
        for axis, run in enumerate(taken):
            for n in run:
                rest = math.prod(parts[later] for later in run if later > n)
                inner[n] = index[axis] // rest % parts[n] if n != run[0] else index[axis] // rest
        found = []
        for run in made:
            place: Any = inner[order[run[0]]] if run else tirx.IntImm("int64", 0)
            for n in run[1:]:
                place = place * parts[order[n]] + inner[order[n]]
            found.append(place)
        return found

    # The operator counts the parameters of what it is given.
    return relax.op.layout_transform(source.source, lambda n, c, h, w: places(n, c, h, w))


def _runs(parts: Sequence[int], sizes: Sequence[int]) -> list[list[int]] | None:
    """Return which parts, one after the other, are each of the axes; None where an axis ends within one."""
    runs: list[list[int]] = []
    at = 0
    for axis, size in enumerate(sizes):
        run: list[int] = []
        while at < len(parts) and (
            math.prod(parts[n] for n in run) < size or (parts[at] == 1 and (run or size == 1))
        ):
            run.append(at)
            at += 1
        if axis == len(sizes) - 1:
            run += range(at, len(parts))
        if math.prod(parts[n] for n in run) != size:
            return None
        runs.append(run)
    return runs
