"""Pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm import relax

from workers.engines.metaschedule.layouts.table import Made, operator_on_blocks
from workers.engines.metaschedule.layouts.tensors import Blocked

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []


@operator_on_blocks(*(f"relax.nn.{kind}_pool{rank}d" for kind in ("max", "avg") for rank in (2, 3)))
def _pooled(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    attrs, plain = call.attrs, "NCHW" if data.is_image else "NCDHW"
    if attrs.layout != plain or attrs.out_layout != plain:
        return None
    layout = f"{plain}{data.block}c"
    pool = getattr(relax.op.nn, call.op.name.removeprefix("relax.nn."))
    made = pool(
        data.tensor,
        pool_size=attrs.pool_size,
        strides=attrs.strides,
        padding=attrs.padding,
        dilation=attrs.dilation,
        ceil_mode=attrs.ceil_mode,
        count_include_pad=attrs.count_include_pad,
        layout=layout,
        out_layout=layout,
    )
    return Blocked(made, data.channels)
