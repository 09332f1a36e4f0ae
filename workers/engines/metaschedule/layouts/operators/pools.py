"""Pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm import relax

from workers.engines.metaschedule.layouts.table import Made, operator_on_blocks
from workers.engines.metaschedule.layouts.tensors import Blocked

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []


@operator_on_blocks("relax.nn.max_pool2d", "relax.nn.avg_pool2d")
def _pooled(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    attrs, layout = call.attrs, f"NCHW{data.block}c"
    if attrs.layout != "NCHW" or attrs.out_layout != "NCHW":
        return None
    pool = relax.op.nn.max_pool2d if call.op.name.endswith("max_pool2d") else relax.op.nn.avg_pool2d
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
