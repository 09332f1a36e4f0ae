"""Views of blocks, group by group."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from workers.engines.metaschedule.layouts.tensors import View, shape_of
from workers.engines.metaschedule.layouts.transforms import in_blocks

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__ = ["of_groups", "reduced"]


def of_groups(blocks: Blocks, view: View, arg: relax.Expr) -> relax.Expr | None:
    """Return an operand so that it meets the tensor of a view.

    None where it isn't one number for each group, or each channel, or another view of the same blocks.
    """
    shape, other = shape_of(arg), blocks.view(arg)
    if shape is None:
        return None
    if other is not None:
        same = other.shape == view.shape and other.data.sizes == view.data.sizes
        return other.data.tensor if same and other.data.block == view.data.block else None
    if math.prod(shape) == 1:
        return relax.op.reshape(blocks.visit_expr(arg), []) if shape else blocks.visit_expr(arg)
    dims = [*[1] * (len(view.shape) - len(shape)), *shape]
    channels = view.data.sizes[1]
    each, value = channels // view.shape[1], blocks.constant(arg)
    if dims[1] != view.shape[1] or math.prod(dims[3:]) != 1 or dims[2] not in (1, view.shape[2], each):
        return None
    if dims[2] != 1:
        if view.shape[2] != each:
            return None
        laid = [dims[0], channels // view.data.block, 1, 1, view.data.block]
        if value is not None:
            return relax.const(value.reshape(laid), str(value.dtype))
        return blocks.builder_.emit(relax.op.reshape(blocks.visit_expr(arg), laid))
    if value is not None:
        of_channels = np.repeat(value.reshape(dims[:2]), each, axis=1)
        return relax.const(in_blocks(of_channels[..., None, None], view.data.block), str(value.dtype))
    outer, chunks, inner, beside = view.split
    made = relax.op.reshape(blocks.visit_expr(arg), [dims[0], outer, 1, 1, inner])
    if chunks > 1:
        made = relax.op.repeat(blocks.builder_.emit(made), chunks, axis=1)
    if inner > 1 and beside > 1:
        made = relax.op.repeat(blocks.builder_.emit(made), beside, axis=4)
    return blocks.builder_.emit(made)


def reduced(blocks: Blocks, view: View, name: str) -> relax.Expr:
    """Return one number for each group: the mean of its elements, or whatever the operator is called."""
    batch, _, height, width = view.data.sizes
    outer, chunks, inner, channels = view.split
    laid = relax.op.reshape(view.data.tensor, [batch, outer, chunks, height * width, inner, channels])
    return getattr(relax.op, name)(blocks.builder_.emit(laid), axis=[2, 3, 5], keepdims=False)
