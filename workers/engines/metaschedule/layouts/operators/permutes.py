"""Axes in another order: out of blocks at once, instead of by way of NCHW."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tvm import relax, te

from workers.engines.metaschedule.layouts.table import Made, operator_on_blocks
from workers.engines.metaschedule.layouts.tensors import Blocked, shape_of

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__: list[str] = []


@operator_on_blocks("relax.permute_dims")
def _permuted(blocks: Blocks, call: relax.Call, data: Blocked) -> Made:
    shape = shape_of(call)
    if call.attrs.axes is None or shape is None:
        return None
    order = [int(axis) for axis in call.attrs.axes]
    if blocks.layout == "nhwc" and order == [0, 2, 3, 1]:
        return relax.op.reshape(data.tensor, shape)  # one block: as it lies already
    into = "".join("nchw"[axis] for axis in order)
    made = blocks.builder_.emit_te(_ordered, data.tensor, order, primfunc_name_hint=f"to_{into}")
    blocks.note(made, data.tensor, blocks.name(data.block), into)
    return made


def _ordered(data: te.Tensor, order: list[int]) -> te.Tensor:
    """Return a tensor in blocks, (N, C/b, H, W, b), with the axes of NCHW in an order."""
    batch, chunks, height, width, block = (int(size) for size in data.shape)
    sizes = (batch, chunks * block, height, width)

    def at(*index: Any) -> Any:
        n, c, h, w = (index[order.index(axis)] for axis in range(4))
        return data[n, c // block, h, w, c % block]

    return te.compute([sizes[axis] for axis in order], at, name="permuted")
