"""Channels in another order, or made places and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tvm import relax, te, tirx
from tvm.sym.analyzer import Analyzer

from workers.engines.metaschedule.layouts.channels import Channels
from workers.engines.metaschedule.layouts.table import Made, operator
from workers.engines.metaschedule.layouts.tensors import Blocked, shape_of

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__ = ["order_of"]


@operator("relax.layout_transform")
def _shuffled(blocks: Blocks, call: relax.Call) -> Made:
    shape, had = shape_of(call), shape_of(call.args[0])
    if shape is None or had is None or len(shape) != 4 or len(had) != 4:
        return None
    source_of = call.attrs.index_map.inverse(list(had))
    joined = blocks.joined(call.args[0])
    order = order_of(source_of, shape) if joined and blocks.layout != "nhwc" and had == shape else None
    if joined is not None and order is not None:
        return joined.taken(order)
    data = blocks.of(call.args[0])
    channels = None if data is None else blocks.choose(shape[1])
    if data is not None and blocks.layout != "nhwc" and shape[1] % data.block == 0:
        channels = Channels.in_order(shape[1], data.block)  # as what it may meet
    if data is not None and not data.channels.ordered:
        ordered = Channels.in_order(data.channels.count, data.block)
        data = Blocked(blocks.reblocked(data, ordered), ordered)
    made = blocks.builder_.call_te(
        lambda tensor: _gathered(tensor, source_of, shape, channels),
        blocks.visit_expr(call.args[0]) if data is None else data.tensor,
        primfunc_name_hint=f"shuffle_{blocks.name(channels.block if channels else 0)}",
    )
    return Blocked(made, channels) if channels else made


def order_of(source_of: tirx.IndexMap, shape: tuple[int, ...]) -> list[int] | None:
    """Return which channel of the input each of the result is; None where more than channels is moved."""
    place = [tirx.Var(name, "int64") for name in "nchw"]
    found, analyzer = source_of.map_indices(place), Analyzer()
    if any(not analyzer.can_prove_equal(found[axis], place[axis]) for axis in (0, 2, 3)):
        return None
    if {*tirx.analysis.undefined_vars(found[1])} - {place[1]}:
        return None
    channel = tirx.IndexMap([place[1]], [found[1]], None)
    return [
        int(analyzer.simplify(channel.map_indices([tirx.IntImm("int64", n)])[0])) for n in range(shape[1])
    ]


def _gathered(
    data: te.Tensor, source_of: tirx.IndexMap, shape: tuple[int, ...], channels: Channels | None
) -> te.Tensor:
    """Return a tensor, in blocks or not, each element read at a place of its own.

    Parameters
    ----------
    data : (N, I/i, H, W, i) or (N, I, H, W)
    source_of : tirx.IndexMap
        From a place of the result to the one of the input, both in NCHW.
    shape : tuple of int
        Of the result, in NCHW.
    channels : Channels or None
        Of the result, in order; None for NCHW.
    """
    block = channels.block if channels else 0
    within = int(data.shape[4]) if len(data.shape) == 5 else 0

    def at(n: Any, oc: Any, oh: Any, ow: Any, *ob: Any) -> Any:
        channel = oc * block + ob[0] if ob else oc
        n, c, h, w = source_of.map_indices([n, channel, oh, ow])
        found = data[n, c // within, h, w, c % within] if within else data[n, c, h, w]
        if channels is None or channels.full:
            return found
        return tirx.if_then_else(channel < channels.count, found, tirx.const(0, data.dtype))

    batch, count, height, width = shape
    if channels is None:
        return te.compute((batch, count, height, width), at, name="shuffle")
    return te.compute((batch, channels.size // block, height, width, block), at, name="shuffle")
