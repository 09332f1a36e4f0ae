"""Images with something around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm import relax

from workers.engines.metaschedule.layouts.channels import Channels
from workers.engines.metaschedule.layouts.table import Made, operator_on_blocks
from workers.engines.metaschedule.layouts.tensors import Blocked

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []


@operator_on_blocks("relax.nn.pad")
def _padded(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    attrs = call.attrs
    widths = [int(width) for width in attrs.pad_width]
    (before, after), channels = widths[2:4], data.channels
    if before or after:
        # Channels are put before and after in whole blocks, of one number: what is mirrored would be blocks.
        block = data.block
        whole = data.channels.full and not before % block and not after % block
        if blocks.layout == "nhwc" or not whole or attrs.pad_mode != "constant":
            return None
        widths[2:4] = [before // block, after // block]
        channels = Channels.in_order(before, block).beside(channels).beside(Channels.in_order(after, block))
    made = relax.op.nn.pad(data.tensor, [*widths, 0, 0], str(attrs.pad_mode), float(attrs.pad_value))
    return Blocked(made, channels)
