"""Reshapes: of what lies in memory as the model has it, and into groups of channels and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm import relax, te

from workers.engines.metaschedule.layouts.channels import Channels
from workers.engines.metaschedule.layouts.table import Made, operator, operator_on_blocks, operator_on_views
from workers.engines.metaschedule.layouts.tensors import Blocked, View, shape_of
from workers.engines.metaschedule.layouts.views import reduced

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__ = ["laid_flat"]


@operator("relax.reshape", "relax.squeeze", "relax.expand_dims")
def _reshaped(blocks: Blocks, call: relax.Call) -> Made:
    shape = shape_of(call)
    data, view = blocks.of(call.args[0]), blocks.view(call.args[0])
    there = view.data if view is not None else data
    if there is None or shape is None:
        return None
    if shape == there.shape and view is None:
        return there
    if not there.channels.plain:
        return laid_flat(blocks, there, shape)
    if shape == there.shape:
        return there
    if there.flat:
        return relax.op.reshape(there.tensor, shape)
    return _grouped(there, shape)


def laid_flat(blocks: Blocks, data: Blocked, shape: tuple[int, ...]) -> relax.Expr | None:
    """Return what has one pixel, some of whose places hold no channel, in another shape."""
    batch, count, height, width = data.sizes
    if height * width > 1:
        return None
    places = blocks.builder_.emit(relax.op.reshape(data.tensor, [batch, data.channels.size]))
    if data.channels.ordered:
        held = relax.op.strided_slice(places, axes=[1], begin=[0], end=[count])
    else:
        held = relax.op.take(places, relax.const(list(data.channels.places), "int64"), axis=1)
    return relax.op.reshape(blocks.builder_.emit(held), shape)


def _grouped(data: Blocked, shape: tuple[int, ...]) -> View | None:
    batch, channels, _, _ = data.sizes
    if not data.is_image or len(shape) < 3 or shape[0] != batch or not shape[1] or channels % shape[1]:
        return None
    each = channels // shape[1]
    return View(data, shape) if each % data.block == 0 or data.block % each == 0 else None


@operator_on_views(
    "relax.mean", "relax.sum", "relax.max", "relax.min", "relax.prod", "relax.variance", "relax.std"
)
def _of_groups(blocks: Blocks, call: relax.Call, view: View) -> Made:
    """Reduce all of a group to one number, or all groups to one."""
    shape, axes = shape_of(call), [*map(int, call.attrs.axis)]
    if shape is None:
        return None
    batch, _, height, width = view.data.sizes
    outer, chunks, inner, channels = view.split
    if axes == [1] and shape == (batch, chunks * channels, height, width) and inner == 1:
        laid = relax.op.reshape(view.data.tensor, [batch, outer, chunks, height, width, channels])
        reduce = getattr(relax.op, call.op.name.removeprefix("relax."))
        made = reduce(blocks.builder_.emit(laid), axis=[1], keepdims=False)
        return Blocked(made, Channels.in_order(chunks * channels, channels))
    if axes != list(range(2, len(view.shape))):
        return None
    made = reduced(blocks, view, call.op.name.removeprefix("relax."))
    return relax.op.reshape(blocks.builder_.emit(made), shape)


@operator("relax.concat")
def _side_by_side(blocks: Blocks, call: relax.Call) -> Made:
    """Put groups beside groups, (N, G, ...), or positions of an image beside those of others, (N, C, HW)."""
    parts = list(call.args[0]) if isinstance(call.args[0], relax.Tuple) else []
    views = [view for view in map(blocks.view, parts) if view is not None]
    shape = shape_of(call)
    if not views or len(views) < len(parts) or shape is None or call.attrs.axis is None:
        return None
    block = views[0].data.block
    if any(view.data.block != block or len(view.shape) != len(shape) for view in views):
        return None
    if int(call.attrs.axis) == 1:
        # A channel of each has to be of one group, and a block of one tensor.
        alike = {(view.data.sizes[2:], view.data.sizes[1] // view.shape[1] % block) for view in views}
        if len(alike) > 1 or blocks.layout == "nhwc" or next(iter(alike))[1]:
            return None
        made = relax.op.concat([view.data.tensor for view in views], axis=1)
        whole = sum(view.data.sizes[1] for view in views)
        return View(Blocked(made, Channels.in_order(whole, block)), shape)
    if (
        int(call.attrs.axis) != 2
        or len(shape) != 3
        or any(view.shape[1] != view.data.sizes[1] for view in views)
    ):
        return None
    laid = [
        blocks.builder_.emit(
            relax.op.reshape(view.data.tensor, [shape[0], shape[1] // block, view.shape[2], 1, block])
        )
        for view in views
    ]
    return View(Blocked(relax.op.concat(laid, axis=2), views[0].data.channels), shape)


@operator_on_views("relax.permute_dims")
def _channels_last(blocks: Blocks, call: relax.Call, view: View) -> Made:
    """Put the channels of (N, C, HW) last; the model's own permutation is as good as a transform."""
    batch, channels, height, width = view.data.sizes
    if view.shape != (batch, channels, height * width) or [*map(int, call.attrs.axes)] != [0, 2, 1]:
        return None
    if view.data.block == channels:
        return relax.op.reshape(view.data.tensor, [batch, height * width, channels])
    return blocks.builder_.call_te(_positions, view.data.tensor, primfunc_name_hint="permute_dims")


@operator_on_blocks("relax.permute_dims")
def _permuted(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    axes = [*map(int, call.attrs.axes)]
    batch, channels, height, width = data.sizes
    if not data.is_image or not data.channels.ordered:
        return None
    if axes == [0, 2, 3, 1] and data.channels.plain and data.block == channels:
        return relax.op.reshape(data.tensor, [batch, height, width, channels])
    return blocks.builder_.call_te(_in_order, data.tensor, channels, axes, primfunc_name_hint="permute_dims")


def _positions(data: te.Tensor) -> te.Tensor:
    """Return (N, C/c, H, W, c) as (N, HW, C)."""
    batch, chunks, height, width, block = (int(n) for n in data.shape)
    return te.compute(
        (batch, height * width, chunks * block),
        lambda n, p, c: data[n, c // block, p // width, p % width, c % block],
        name="permute_dims",
    )


def _in_order(data: te.Tensor, channels: int, axes: list[int]) -> te.Tensor:
    """Return the permutation of (N, C, H, W) of what is (N, places/c, H, W, c), the first being channels."""
    batch, _, height, width, block = (int(n) for n in data.shape)
    sizes = (batch, channels, height, width)

    def at(*index: te.Var) -> te.Tensor:
        n, c, h, w = (index[axes.index(axis)] for axis in range(4))
        return data[n, c // block, h, w, c % block]

    return te.compute([sizes[axis] for axis in axes], at, name="permute_dims")
