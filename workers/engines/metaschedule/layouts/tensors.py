"""What the rewriting asks of a tensor."""

from __future__ import annotations

from dataclasses import dataclass

import tvm
from tvm import relax

__all__ = ["Blocked", "dtype_of", "is_call", "shape_of"]


@dataclass(frozen=True)
class Blocked:
    """A tensor with its channels in blocks.

    Attributes
    ----------
    tensor : relax.Expr
        (N, C/block, H, W, block)
    block : int
        Channels of a block.
    """

    tensor: relax.Expr
    block: int


def is_call(expr: relax.Expr, name: str) -> bool:
    """Say whether an expression is a call of an operator."""
    return isinstance(expr, relax.Call) and getattr(expr.op, "name", "") == name


def shape_of(expr: relax.Expr) -> tuple[int, ...] | None:
    """Return the shape of a tensor; None of what is none, or whose sizes aren't known."""
    shape = getattr(expr.ty, "shape", None)
    if not isinstance(shape, relax.ShapeExpr) or not all(
        isinstance(n, tvm.tirx.IntImm) for n in shape.values
    ):
        return None
    return tuple(int(n) for n in shape.values)


def dtype_of(expr: relax.Expr) -> str:
    """Return the type of a tensor's elements."""
    return str(expr.ty.dtype)
