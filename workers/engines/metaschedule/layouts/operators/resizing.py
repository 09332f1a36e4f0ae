"""Images made larger or smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm import relax

from workers.engines.metaschedule.layouts.table import Made, operator_on_blocks
from workers.engines.metaschedule.layouts.tensors import Blocked

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []


@operator_on_blocks("relax.image.resize2d")
def _resized(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    attrs = call.attrs
    if attrs.layout != "NCHW":
        return None
    made = relax.op.image.resize2d(
        data.tensor,
        call.args[1],
        roi=[float(edge) for edge in attrs.roi],
        layout=f"NCHW{data.block}c",
        method=attrs.method,
        coordinate_transformation_mode=attrs.coordinate_transformation_mode,
        rounding_method=attrs.rounding_method,
        cubic_alpha=attrs.cubic_alpha,
        cubic_exclude=attrs.cubic_exclude,
        extrapolation_value=attrs.extrapolation_value,
        out_dtype=attrs.out_dtype or None,
    )
    return Blocked(made, data.channels)
