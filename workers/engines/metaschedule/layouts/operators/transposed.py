"""Transposed convolutions, each element of the result gathered from the places that reach it.

TVM's own puts zeros between the elements of the input and multiplies with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax, te, topi

from workers.engines.metaschedule.layouts.channels import Channels
from workers.engines.metaschedule.layouts.operators.convolutions import as_imported, packed
from workers.engines.metaschedule.layouts.table import Made, operator
from workers.engines.metaschedule.layouts.tensors import Blocked, shape_of
from workers.engines.metaschedule.sums import widened

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []


@operator("relax.nn.conv2d_transpose")
def _upsampling(blocks: Blocks, call: relax.Call) -> Made:
    data, weights = call.args
    attrs, shape = call.attrs, shape_of(call)
    if not as_imported(call, "IOHW") or shape is None:
        return None
    groups = int(attrs.groups)
    kernel = _by_output(weights.value.numpy(), groups, [int(n) for n in attrs.dilation])
    out, each = kernel.shape[:2]
    there = blocks.of(data)
    channels, reads = blocks.choose(out), there.channels if there is not None else None
    depthwise = each == 1 and 1 < groups == out
    if depthwise:
        channels = reads = channels if reads is None else reads
    elif groups > 1 and blocks.layout != "nhwc":
        # A block must not reach into the next group.
        channels, reads = _of_groups(blocks, groups, out, each)
    elif groups > 1:
        reads = blocks.choose(groups * each)
    if (channels is None and (groups > 1 or reads is None)) or (groups > 1 and reads is None):
        return None
    whole = kernel.size
    if channels is not None:
        kernel = channels.spread(kernel, 0)
    if reads is not None and groups == 1:
        kernel = reads.spread(kernel, 1)
    blocks.convolves(channels, kernel.size / whole)
    block, within = (one.block if one else 0 for one in (channels, reads))
    strides = [int(n) for n in attrs.strides]
    # As many weights for each position as any has; some are zero.
    more = [(-size) % step for size, step in zip(kernel.shape[2:], strides, strict=True)]
    kernel = np.pad(kernel, [(0, 0), (0, 0), (0, more[0]), (0, more[1])])
    made = blocks.builder_.call_te(
        _gathered,
        blocks.blocked(data, reads) if reads else blocks.visit_expr(data),
        relax.const(packed(kernel, 0 if depthwise else within, block, depthwise)),
        strides=strides,
        padding=[int(n) for n in attrs.padding][:2],
        size=list(shape[2:]),
        groups=groups,
        depthwise=depthwise,
        block=block,
        primfunc_name_hint=f"{'depthwise_' if depthwise else ''}conv2d_transpose_{blocks.name(block)}",
    )
    return Blocked(made, channels) if channels else made


def _of_groups(blocks: Blocks, groups: int, out: int, each: int) -> tuple[Channels | None, Channels | None]:
    """Return how to lay the channels of groups, made and read, so that no block reaches into the next."""
    made, read = blocks.choose(out // groups, full=True), blocks.choose(each, full=True)
    if made is None or read is None:
        return None, None
    return (Channels.in_order(out, made.block), Channels.in_order(groups * each, read.block))


def _by_output(kernel: np.ndarray, groups: int, dilation: list[int]) -> np.ndarray:
    """Return weights, (I, O/groups, h, w), as (O, I/groups, h, w), the gaps of the dilation filled with 0."""
    channels, out, height, width = kernel.shape
    split = kernel.reshape(groups, channels // groups, out, height, width).swapaxes(1, 2)
    laid = split.reshape(groups * out, channels // groups, height, width)
    sizes = [(size - 1) * step + 1 for size, step in zip((height, width), dilation, strict=True)]
    filled = np.zeros((*laid.shape[:2], *sizes), kernel.dtype)
    filled[:, :, :: dilation[0], :: dilation[1]] = laid
    return filled


def _gathered(
    data: te.Tensor,
    weights: te.Tensor,
    strides: list[int],
    padding: list[int],
    size: list[int],
    groups: int,
    depthwise: bool,
    block: int,
) -> te.Tensor:
    """Convolve transposed.

    Parameters
    ----------
    data : (N, I/i, H, W, i) or (N, I, H, W)
    weights : (O/o, I/i, h, w, i, o)
        As :func:`packed` has them; `h` and `w` are multiples of the strides.
    padding : list of int
        What is cut off before the image: rows, columns.
    size : list of int
        Of the result: rows, columns.
    block : int
        Channels of a block of the result; 0 for NCHW.
    """
    within = int(data.shape[4]) if len(data.shape) == 5 else 0
    kernel = [int(n) for n in (weights.shape[1:3] if depthwise else weights.shape[2:4])]
    taps = [length // step for length, step in zip(kernel, strides, strict=True)]
    before, after = [0, 0], [0, 0]
    for axis in range(2):
        first, last = padding[axis] // strides[axis], (size[axis] - 1 + padding[axis]) // strides[axis]
        before[axis] = max(0, taps[axis] - 1 - first)
        after[axis] = max(0, last - int(data.shape[2 + axis]) + 1)
    padded = data
    if any(before) or any(after):
        more = [0] * (len(data.shape) - 4)
        padded = topi.nn.pad(data, [0, 0, *before, *more], [0, 0, *after, *more], name="data_pad")
    chunks = int(weights.shape[0])
    each = 1 if depthwise else int(weights.shape[1]) * (int(weights.shape[4]) if within else 1)
    of_group = chunks * max(block, 1) // groups
    ic = te.reduce_axis((0, each), "ic")
    th, tw = te.reduce_axis((0, taps[0]), "th"), te.reduce_axis((0, taps[1]), "tw")

    wide = widened(data)

    def one(n: Any, oc: Any, oh: Any, ow: Any, *ob: Any) -> Any:
        y, x = oh + padding[0], ow + padding[1]
        place = (y // strides[0] + before[0] - th, x // strides[1] + before[1] - tw)
        weight = (y % strides[0] + th * strides[0], x % strides[1] + tw * strides[1])
        if depthwise:
            return te.sum(wide(padded(n, oc, *place, *ob)) * wide(weights(oc, *weight, *ob)), axis=[th, tw])
        group = (oc * block + ob[0] if ob else oc) // of_group if groups > 1 else 0
        channel = group * each + ic
        if within:
            read = padded(n, channel // within, *place, channel % within)
            laid = weights(oc, ic // within, *weight, ic % within, *ob)
            return te.sum(wide(read) * wide(laid), axis=[ic, th, tw])
        laid = weights(oc, ic, *weight, *ob)
        return te.sum(wide(padded(n, channel, *place)) * wide(laid), axis=[ic, th, tw])

    shape = (int(data.shape[0]), chunks, *size, *([block] if block else []))
    return te.compute(shape, one, name="conv2d_transpose")
