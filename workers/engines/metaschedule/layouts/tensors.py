"""What the rewriting asks of a tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.ir import GenericConst, IRModule, Op

from workers.engines.metaschedule.layouts.channels import Channels

__all__ = ["Blocked", "View", "constant_of", "dtype_of", "is_call", "op_name", "shape_of", "values_of"]


@dataclass(frozen=True)
class Blocked:
    """A tensor with its channels in blocks.

    Attributes
    ----------
    tensor : relax.Expr
        (N, places/block, H, W, block); of a volume (N, places/block, D, H, W, block).
    channels : Channels
        Where they lie in it.
    """

    tensor: relax.Expr
    channels: Channels

    @property
    def block(self) -> int:
        """Channels of a block."""
        return self.channels.block

    @property
    def shape(self) -> tuple[int, ...]:
        """As the model has it: N, C, H and W, or N, C, D, H and W."""
        batch, _, *space, _ = shape_of(self.tensor) or (0, 0, 0, 0, 0)
        return batch, self.channels.count, *space

    @property
    def is_image(self) -> bool:
        """Whether it has rows and columns, and nothing else besides its channels."""
        return len(self.shape) == 4

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """N, C, H and W; of a volume, all its rows are H."""
        batch, channels, *space, width = self.shape
        return batch, channels, math.prod(space), width

    @property
    def flat(self) -> bool:
        """Whether its elements lie as they do in NCHW, so that a reshape is all it takes."""
        _, _, height, width = self.sizes
        return self.channels.plain and (height * width == 1 or self.block == 1)


@dataclass(frozen=True)
class View:
    """A tensor in blocks that the model sees with its channels in groups, (N, groups, ...).

    Within a group the elements lie in another order than the model's. What is computed of each alone, or of
    all of a group, is the same.

    Attributes
    ----------
    data : Blocked
        Its places are the channels. A group is a whole number of blocks, or a block one of groups.
    shape : tuple of int
        As the model has it; the first two are N and the number of groups.
    """

    data: Blocked
    shape: tuple[int, ...]

    @property
    def split(self) -> tuple[int, int, int, int]:
        """Groups, each by the chunks it has; and the groups of a chunk, each by its channels in one."""
        _, channels, _, _ = self.data.sizes
        groups, block = self.shape[1], self.data.block
        each = channels // groups
        return (
            (groups, each // block, 1, block)
            if each >= block
            else (channels // block, 1, block // each, each)
        )


def op_name(expr: Any) -> str:
    """Return which operator an expression calls, as ``relax.add``; nothing where it calls none."""
    return str(expr.op.name) if isinstance(expr, relax.Call) and isinstance(expr.op, Op) else ""


def is_call(expr: relax.Expr, name: str) -> bool:
    """Say whether an expression is a call of an operator."""
    return op_name(expr) == name


def shape_of(expr: relax.Expr) -> tuple[int, ...] | None:
    """Return the shape of a tensor; None of what is none, or whose sizes aren't known."""
    shape = getattr(expr.ty, "shape", None)
    if not isinstance(shape, relax.ShapeExpr) or not all(
        isinstance(n, tvm.tirx.IntImm) for n in shape.values
    ):
        return None
    return tuple(int(n) for n in shape.values)


def constant_of(expr: relax.Expr) -> np.ndarray | None:
    """Return the values of a constant tensor; None of what is none."""
    if not isinstance(expr, GenericConst) or not hasattr(expr.value, "numpy"):
        return None
    return np.asarray(expr.value.numpy())


def values_of(module: IRModule) -> dict[relax.Var, relax.Expr]:
    """Return what each variable of a model is bound to."""
    return {binding.var: binding.value for block in module["main"].body.blocks for binding in block.bindings}


def dtype_of(expr: relax.Expr) -> str:
    """Return the type of a tensor's elements."""
    return str(expr.ty.dtype)
