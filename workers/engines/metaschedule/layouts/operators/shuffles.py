"""Channels in another order, or made places and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tvm import relax, te, tirx

from workers.engines.metaschedule.layouts.table import Made, operator
from workers.engines.metaschedule.layouts.tensors import Blocked, shape_of

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []


@operator("relax.layout_transform")
def _shuffled(blocks: Blocks, call: relax.Call) -> Made:
    shape, had = shape_of(call), shape_of(call.args[0])
    if shape is None or had is None or len(shape) != 4 or len(had) != 4:
        return None
    data = blocks.of(call.args[0])
    block = 0 if data is None else blocks.choose(shape[1])
    if data is not None and blocks.layout != "nhwc" and shape[1] % data.block == 0:
        block = data.block  # as what it may meet
    source_of = call.attrs.index_map.inverse(list(had))
    made = blocks.builder_.call_te(
        lambda tensor: _gathered(tensor, source_of, shape, block),
        blocks.visit_expr(call.args[0]) if data is None else data.tensor,
        primfunc_name_hint=f"shuffle_{blocks.name(block)}",
    )
    return Blocked(made, block) if block else made


def _gathered(data: te.Tensor, source_of: tirx.IndexMap, shape: tuple[int, ...], block: int) -> te.Tensor:
    """Return a tensor, in blocks or not, each element read at a place of its own.

    Parameters
    ----------
    data : (N, I/i, H, W, i) or (N, I, H, W)
    source_of : tirx.IndexMap
        From a place of the result to the one of the input, both in NCHW.
    shape : tuple of int
        Of the result, in NCHW.
    block : int
        Channels of a block of the result; 0 for NCHW.
    """
    within = int(data.shape[4]) if len(data.shape) == 5 else 0

    def at(n: Any, oc: Any, oh: Any, ow: Any, *ob: Any) -> Any:
        place = [n, oc * block + ob[0] if ob else oc, oh, ow]
        n, c, h, w = source_of.map_indices(place)
        return data[n, c // within, h, w, c % within] if within else data[n, c, h, w]

    batch, channels, height, width = shape
    laid = (batch, channels // (block or 1), height, width, *([block] if block else []))
    return te.compute(laid, at, name="shuffle")
