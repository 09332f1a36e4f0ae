"""Means and their like, over the image, over the channels, or over both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm import relax

from workers.engines.metaschedule.layouts.table import Made, operator_on_blocks
from workers.engines.metaschedule.layouts.tensors import Blocked, shape_of

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []

_NAMES = ("mean", "sum", "max", "min", "prod", "variance", "std")
# Where an axis of NCHW is in blocks.
_AXES = {0: [0], 1: [1, 4], 2: [2], 3: [3]}


@operator_on_blocks(*(f"relax.{name}" for name in _NAMES))
def _reduced(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    axes = [*map(int, call.attrs.axis)]
    shape = shape_of(call)
    if shape is None:
        return None
    reduce = getattr(relax.op, call.op.name.removeprefix("relax."))
    made = reduce(data.tensor, axis=sorted(at for axis in axes for at in _AXES[axis]), keepdims=True)
    _, channels, height, width = (1 if axis in axes else size for axis, size in enumerate(data.sizes))
    if channels > 1 and height * width > 1:
        # Still an image with channels: its blocks are kept, if its axes are.
        return Blocked(made, data.block) if call.attrs.keepdims else None
    if channels > 1 and call.attrs.keepdims:
        return Blocked(made, data.block)
    return relax.op.reshape(blocks.builder_.emit(made), shape)


@operator_on_blocks("relax.nn.softmax", "relax.nn.log_softmax")
def _normalized(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    axis = int(call.attrs.axis)
    return Blocked(relax.Call(call.op, [data.tensor], call.attrs), data.block) if axis in (2, 3) else None
