"""Convolutions: they decide which blocks there are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tvm import relax, te, topi
from tvm.ir import GenericConst
from tvm.relax.utils import gen_call_tir_inputs

from workers.engines.metaschedule import winograd
from workers.engines.metaschedule.dot_products import AT_ONCE
from workers.engines.metaschedule.fusing import OPAQUE
from workers.engines.metaschedule.layouts.channels import Channels
from workers.engines.metaschedule.layouts.table import Made, operator
from workers.engines.metaschedule.layouts.tensors import Blocked, dtype_of, shape_of
from workers.engines.metaschedule.rows import kept, row, whole_columns
from workers.engines.metaschedule.sums import WIDENED, widened
from workers.engines.metaschedule.tiles import fits

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__ = ["as_imported", "convolved", "packed"]

# Winograd's transforms cost as much as they save where there are fewer channels to sum over, or to make.
_WINOGRAD_CHANNELS = 64
# Sixteen weights for nine: beyond 4 MB of them, reading costs what the arithmetic saves.
_WINOGRAD_WEIGHTS = 256 * 256
# Groups of fewer channels than this have no vectors of their own in NHWC.
_LEAST_OF_GROUP = 4
# How much faster than of vectors products are of matrices, at least.
_OF_MATRICES = 4


@operator("relax.nn.conv2d", "relax.nn.conv3d")
def _convolution(blocks: Blocks, call: relax.Call) -> Made:
    data, weights = call.args
    attrs = call.attrs
    rank = 4 if call.op.name.endswith("2d") else 5
    if not as_imported(call, "OIHW" if rank == 4 else "OIDHW") or shape_of(call) is None:
        return None
    kernel, groups = weights.value.numpy(), int(attrs.groups)
    depthwise = kernel.shape[1] == 1 and 1 < groups == kernel.shape[0]
    if depthwise:
        read = _of_each(blocks, data, kernel)
    elif groups > 1 and blocks.layout == "nhwc":
        read = _of_groups_apart(blocks, data, kernel, groups)
    elif groups > 1:
        read = _of_groups(blocks, data, kernel, groups)
    else:
        read = _of_all(blocks, data, kernel)
    if read is None:
        return None
    source, within, laid, channels, more = read
    block = channels.block if channels else 0
    at_once = _numbers_at_once(blocks, dtype_of(data), groups, within, block)
    of_matrices = blocks.in_tiles(dtype_of(data)) and rank == 4 and at_once > 0
    of_matrices = of_matrices and within == laid.shape[1]
    of_matrices = of_matrices and fits((shape_of(call) or ())[-1], within, at_once)
    faster = _OF_MATRICES if of_matrices else 1
    blocks.convolves(channels, laid.size / kernel.size * (1 + more / (block or 1)) / faster)
    tiles = channels and within and not depthwise and dtype_of(data) == "float32"
    if channels and blocks.layout != "nhwc" and tiles and _suits_winograd(laid, attrs):
        return Blocked(_winograd(blocks, call, source, laid, block), channels)
    weights = packed(laid, 0 if depthwise else within, block, depthwise)
    if at_once:
        weights = _at_once(weights, at_once)
    if more:
        weights = np.pad(weights, [*[(0, 0)] * (weights.ndim - 1), (0, more)])
    made = blocks.builder_.call_te(
        convolved,
        source,
        relax.const(weights),
        strides=[int(n) for n in attrs.strides],
        padding=[int(n) for n in attrs.padding],
        dilation=[int(n) for n in attrs.dilation],
        groups=groups,
        depthwise=depthwise,
        block=block,
        in_tiles=bool(block) and not depthwise and blocks.layout != "nhwc",
        of_matrices=of_matrices,
        primfunc_name_hint=f"{'depthwise_' if depthwise else ''}conv{rank - 2}d_{blocks.name(block, rank)}",
    )
    return Blocked(made, channels) if channels else made


def _numbers_at_once(blocks: Blocks, dtype: str, groups: int, within: int, block: int) -> int:
    """Return how many numbers an instruction multiplies for each sum; 0 where weights don't lie so."""
    count = AT_ONCE.get(dtype, 0)
    together = count and groups == 1 and within and not within % count
    return count if together and block and not block % blocks.lanes else 0


class _Read(NamedTuple):
    """What a convolution reads, and what it makes.

    Attributes
    ----------
    source : relax.Expr
    within : int
        Places of a block of it that the weights are laid out for; 0 for none.
    kernel : numpy.ndarray
        The weights, (O, I, h, w), with zeros for places without a channel.
    channels : Channels or None
        Of the result; None for NCHW.
    more : int
        Places to compute for nothing after each block of it.
    """

    source: relax.Expr
    within: int
    kernel: np.ndarray
    channels: Channels | None
    more: int = 0


def _of_each(blocks: Blocks, data: relax.Expr, kernel: np.ndarray) -> _Read | None:
    """Convolve each channel by itself, in its place."""
    there = blocks.of(data)
    channels = blocks.choose(kernel.shape[0]) if there is None else there.channels
    if channels is None:
        return None
    return _Read(blocks.blocked(data, channels), channels.block, channels.spread(kernel, 0), channels)


def _of_groups(blocks: Blocks, data: relax.Expr, kernel: np.ndarray, groups: int) -> _Read | None:
    """Convolve groups of channels: no block of the result may reach into the next."""
    out, each = kernel.shape[:2]
    of_group, reads = blocks.choose(out // groups), blocks.choose(each, full=True)
    if of_group is None:
        return None
    there = blocks.of(data)
    apart = None if there is None else there.channels.of_groups(groups)
    if there is not None and apart is not None:
        kernel, within, source = apart.spread(kernel, 1), apart.block, there.tensor
    elif there is not None and there.channels.ordered:
        source = there.tensor
        within = there.block if there.block % each == 0 or each % there.block == 0 else 0
    elif reads is not None:
        within = reads.block
        source = blocks.blocked(data, Channels.in_order(each * groups, within))
    else:
        source, within = blocks.visit_expr(data), 0
    channels = of_group
    for _ in range(groups - 1):
        channels = channels.beside(of_group)
    return _Read(source, within, channels.spread(kernel, 0), channels)


def _of_groups_apart(blocks: Blocks, data: relax.Expr, kernel: np.ndarray, groups: int) -> _Read | None:
    """Convolve groups of channels, in NHWC or in blocks of a group each, into blocks of a group each.

    Those of NHWC, of which a vector would reach from one group into the next, are (N, G, H, W, C/G) so.
    """
    out, each = kernel.shape[:2]
    of_group = out // groups
    there = blocks.of(data)
    if there is not None and not there.channels.plain:
        return None
    block = there.block if there is not None else 0
    within = block if block and (block % each == 0 or each % block == 0) else 0
    source = blocks.visit_expr(data) if there is None else there.tensor
    if of_group < _LEAST_OF_GROUP:
        return _Read(source, within, kernel, Channels.in_order(out, out))
    vector = min(blocks.lanes, 1 << (of_group - 1).bit_length())
    return _Read(source, within, kernel, Channels.in_order(out, of_group), -of_group % vector)


def _of_all(blocks: Blocks, data: relax.Expr, kernel: np.ndarray) -> _Read | None:
    """Sum over all channels, in whatever blocks they are."""
    channels, there = blocks.made(kernel.shape[0]), blocks.of(data)
    at_once = AT_ONCE.get(dtype_of(data))
    if there is None and channels and at_once:
        # Numbers that are multiplied at once lie side by side.
        whole = -(-kernel.shape[1] // at_once) * at_once
        most = whole if blocks.in_tiles(dtype_of(data)) else channels.block
        of = Channels.in_order(kernel.shape[1], min(most, whole))
        there = Blocked(blocks.blocked(data, of), of)
    if there is None:
        if channels is None:
            return None
        return _Read(blocks.visit_expr(data), 0, channels.spread(kernel, 0), channels)
    laid = there.channels.spread(kernel, 1)
    return _Read(there.tensor, there.block, channels.spread(laid, 0) if channels else laid, channels)


def _winograd(
    blocks: Blocks, call: relax.Call, source: relax.Expr, kernel: np.ndarray, block: int
) -> relax.Expr:
    """Convolve by Winograd's algorithm, in four kernels."""

    def step(
        function: Callable[..., te.Tensor], *args: Any, then: Sequence[Callable[[Any, str], Any]] = ()
    ) -> relax.Expr:
        func, arguments, (out,) = gen_call_tir_inputs(function, *args)
        for rewrite in then:
            func = rewrite(func, function.__name__)
        # Its result may lie in another order now.
        ty = relax.TensorType(func.params[-1].shape, out.dtype)
        # Fused with what reads it, a transform would be computed again for each of its readers.
        func = func.with_attr("op_pattern", OPAQUE)
        name = blocks.builder_.add_func(func, f"winograd_{function.__name__}")
        return blocks.builder_.emit(relax.call_tir(name, arguments, ty))

    shape = shape_of(call)
    assert shape is not None
    padding = [int(n) for n in call.attrs.padding]
    made = step(winograd.windows, source, padding, then=(winograd.unrolled, winograd.by_element))
    made = step(winograd.products, made, relax.const(winograd.transformed_weights(kernel)))
    tiles = shape[0] * math.prod(-(-size // winograd.TILE) for size in shape[2:])
    made = step(winograd.tiles, made, tiles, block, then=(winograd.unrolled,))
    return blocks.builder_.call_te(
        winograd.assembled, made, shape[0], *shape[2:], primfunc_name_hint="winograd_assembled"
    )


def as_imported(call: relax.Call, kernel_layout: str) -> bool:
    """Say whether a convolution, of constant weights and with sums of 32 bits, is as it was imported."""
    data, weights = call.args
    layouts = (call.attrs.data_layout, call.attrs.kernel_layout, call.attrs.out_layout)
    plain = f"NC{kernel_layout[2:]}"
    dtype = dtype_of(data)
    precise = dtype in ("float32", "int32") or (dtype, call.attrs.out_dtype) in WIDENED.items()
    return isinstance(weights, GenericConst) and precise and layouts == (plain, kernel_layout, plain)


def _suits_winograd(kernel: np.ndarray, attrs: Any) -> bool:
    plain = int(attrs.groups) == 1 and {*map(int, attrs.strides), *map(int, attrs.dilation)} == {1}
    out, channels = kernel.shape[:2]
    worth = min(out, channels) >= _WINOGRAD_CHANNELS and out * channels <= _WINOGRAD_WEIGHTS
    return plain and kernel.shape[2:] == (3, 3) and worth


def convolved(
    data: te.Tensor,
    weights: te.Tensor,
    strides: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    depthwise: bool,
    block: int,
    in_tiles: bool = False,
    of_matrices: bool = False,
) -> te.Tensor:
    """Convolve an image or a volume, in blocks or not, with packed weights, into blocks or not.

    Parameters
    ----------
    data : (N, I/i, H, W, i) or (N, I, H, W), or with D before H
    weights : as :func:`packed` has them for it, or :func:`_at_once`
        Of groups also with more columns than a block has, which are computed and left out.
    block : int
        Channels of a block of the result; 0 for NCHW.
    in_tiles : bool, optional
        Whether a few columns more may be computed (see :func:`.rows.whole_columns`).
    of_matrices : bool, optional
        Whether all channels of a pixel are summed up for each tap, for :mod:`..tiles`.
    """
    rank = 2 + len(strides)
    before, after = padding[: rank - 2], padding[rank - 2 :]
    padded = data
    if any(padding):
        more = [0] * (len(data.shape) - rank)
        padded = topi.nn.pad(data, [0, 0, *before, *more], [0, 0, *after, *more], name="data_pad")
    batch, _, *space = (int(n) for n in padded.shape[:rank])
    within = int(data.shape[rank]) if len(data.shape) > rank else 0
    # Of groups that blocks don't fit into, the weights are laid out one by one.
    packs = len(weights.shape) >= rank + (2 if block else 1)
    grouped = len(weights.shape) == rank + 3
    chunks = int(weights.shape[0])
    first = 1 if depthwise else 2
    kernel = [int(n) for n in weights.shape[first : first + rank - 2]]
    sizes = [
        (size - (taps - 1) * apart - 1) // step + 1
        for size, taps, apart, step in zip(space, kernel, dilation, strides, strict=True)
    ]
    count = sizes[-1]
    computed = whole_columns(sizes[-2], count) if in_tiles else count
    names = ("kd", "kh", "kw")[-len(kernel) :]
    reached = [te.reduce_axis((0, taps), name) for taps, name in zip(kernel, names, strict=True)]
    # A group may be a part of a block.
    inner = int(weights.shape[rank]) if packs else 1
    each = 1 if depthwise else int(weights.shape[1]) * inner
    ic = te.reduce_axis((0, each), "ic")
    at_once = int(weights.shape[rank + 2]) if grouped else 1
    number = te.reduce_axis((0, at_once), "number")
    of_group = chunks * max(block, 1) // groups
    columns = int(weights.shape[-1]) if block and groups > 1 else block

    wide = widened(data)

    def one(n: Any, oc: Any, *index: Any) -> Any:
        place, ob = index[: rank - 2], index[rank - 2 :]
        place = (*place[:-1], row(place[-1], count, computed))
        at = [
            where * step + tap * apart
            for where, tap, apart, step in zip(place, reached, dilation, strides, strict=True)
        ]
        if depthwise:
            return te.sum(wide(padded(n, oc, *at, *ob)) * wide(weights(oc, *reached, *ob)), axis=reached)
        if of_matrices:
            product = wide(padded(n, 0, *at, ic * at_once + number)) * wide(
                weights(oc, 0, *reached, ic, *ob, number)
            )
            return te.sum(product, axis=[*reached, ic, number])
        if grouped:
            chunk, place = ic // inner, ic % inner
            product = wide(padded(n, chunk, *at, place * at_once + number)) * wide(
                weights(oc, chunk, *reached, place, *ob, number)
            )
            return te.sum(product, axis=[ic, *reached, number])
        # Which group it is depends on the place in a block only where that is more than a group.
        group = 0
        if groups > 1 and of_group % max(block, 1) == 0:
            group = oc // (of_group // max(block, 1))
        elif groups > 1:
            group = (oc * block + ob[0]) // of_group
        channel = group * each + ic
        read = padded(n, channel // within, *at, channel % within) if within else padded(n, channel, *at)
        weight = (
            weights(oc, ic // inner, *reached, ic % inner, *ob) if packs else weights(oc, ic, *reached, *ob)
        )
        return te.sum(wide(read) * wide(weight), axis=[ic, *reached])

    shape = [batch, chunks, *sizes[:-1], computed, *([columns] if block else [])]
    made = te.compute(shape, one, name=f"{'depthwise_' if depthwise else ''}conv{rank - 2}d")
    return kept(made, [batch, chunks, *sizes, *([block] if block else [])])


def packed(kernel: np.ndarray, within: int, block: int, depthwise: bool = False) -> np.ndarray:
    """Lay weights out, (O, I, h, w), as :func:`convolved` takes them.

    Returns
    -------
    numpy.ndarray
        (O/o, I/i, h, w, i, o), where `i` channels of the input are a block, and `o` of the output; without
        those axes, where there are no blocks; (O/o, h, w, o) for a depthwise convolution. With d before h
        for volumes.
    """
    out, each, *taps = kernel.shape
    within = min(within, each)  # of a block of several groups, NHWC's among them, one reads its part
    split = kernel.reshape(out // (block or 1), block or 1, each // (within or 1), within or 1, *taps)
    laid = split.transpose(0, 2, *range(4, 4 + len(taps)), 3, 1)
    last = 2 + len(taps)
    drop = [*((1, last) if depthwise else () if within else (last,)), *(() if block else (last + 1,))]
    return np.ascontiguousarray(np.squeeze(laid, axis=tuple(drop)))


def _at_once(weights: np.ndarray, count: int) -> np.ndarray:
    """Lay packed weights out, (O/o, I/i, h, w, i, o), as (O/o, I/i, h, w, i/count, o, count)."""
    *outer, within, block = weights.shape
    split = weights.reshape(*outer, within // count, count, block)
    return np.ascontiguousarray(split.swapaxes(-1, -2))
