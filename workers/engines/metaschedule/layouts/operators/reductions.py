"""Means and their like, over the image, over the channels, or over both."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tvm import relax

from workers.engines.metaschedule.layouts.operators.elementwise import cleared
from workers.engines.metaschedule.layouts.operators.groups import laid_flat
from workers.engines.metaschedule.layouts.table import Made, operator_on_blocks
from workers.engines.metaschedule.layouts.tensors import Blocked, dtype_of, shape_of

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []

_NAMES = ("mean", "sum", "max", "min", "prod", "variance", "std")
# What doesn't change the result, for places that hold no channel.
_NEUTRAL = {"mean": 0.0, "sum": 0.0, "max": -math.inf, "min": math.inf, "prod": 1.0}


@operator_on_blocks(*(f"relax.{name}" for name in _NAMES))
def _reduced(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    axes, name = [*map(int, call.attrs.axis)], call.op.name.removeprefix("relax.")
    shape = shape_of(call)
    if shape is None:
        return None
    # The places of a block are the last axis.
    rank = len(data.shape)
    places = sorted({*axes, *([rank] if 1 in axes else ())})
    if 1 in axes and not data.channels.full:
        if name not in _NEUTRAL:
            return None
        data = cleared(blocks, data, _NEUTRAL[name])
        made = getattr(relax.op, "sum" if name == "mean" else name)(data.tensor, axis=places, keepdims=True)
        if name == "mean":
            count = math.prod(size for axis, size in enumerate(data.shape) if axis in axes)
            made = relax.op.divide(blocks.builder_.emit(made), relax.const(count, dtype_of(data.tensor)))
    else:
        made = getattr(relax.op, name)(data.tensor, axis=places, keepdims=True)
    _, channels, *space = (1 if axis in axes else size for axis, size in enumerate(data.shape))
    if channels > 1 and call.attrs.keepdims:
        return Blocked(made, data.channels)
    if channels > 1 and math.prod(space) > 1:
        return None  # an image with channels, without the axes of one
    if channels > 1 and not data.channels.plain:
        return laid_flat(blocks, Blocked(blocks.builder_.emit(made), data.channels), shape)
    return relax.op.reshape(blocks.builder_.emit(made), shape)


@operator_on_blocks("relax.nn.softmax", "relax.nn.log_softmax")
def _normalized(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    axis = int(call.attrs.axis)
    return Blocked(relax.Call(call.op, [data.tensor], call.attrs), data.channels) if axis > 1 else None
