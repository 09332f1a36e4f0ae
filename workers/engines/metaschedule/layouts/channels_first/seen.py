"""A tensor that is another one, seen with its axes in another order."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from tvm import relax

from workers.engines.metaschedule.layouts.tensors import shape_of

__all__ = ["Seen", "as_source", "constant_as_source", "made_plain", "reshaped", "same_order"]


@dataclass(frozen=True)
class Seen:
    """A tensor of the model as another one.

    Attributes
    ----------
    source : relax.Expr
        Of four axes, channels first.
    shape : tuple of int
        As the model has it.
    axes : tuple of int
        For each axis of the model's tensor the one of the source; -1 for one of size 1 that isn't there. Axes
        of the source that aren't named have size 1.
    """

    source: relax.Expr
    shape: tuple[int, ...]
    axes: tuple[int, ...]


def same_order(seen: Seen) -> bool:
    """Say whether the elements lie as in the source, so that a reshape makes one the other."""
    order = [axis for axis, size in zip(seen.axes, seen.shape, strict=True) if size != 1]
    return order == sorted(order)


def made_plain(seen: Seen, builder: relax.BlockBuilder) -> relax.Expr:
    """Return the tensor as the model has it."""
    sizes = shape_of(seen.source) or ()
    made = seen.source
    if not same_order(seen):
        named = [axis for axis in seen.axes if axis >= 0]
        order = [*named, *(axis for axis in range(len(sizes)) if axis not in named)]
        made = builder.emit(relax.op.permute_dims(made, order))
    return made if shape_of(made) == seen.shape else builder.emit(relax.op.reshape(made, seen.shape))


def reshaped(seen: Seen, shape: tuple[int, ...]) -> Seen | None:
    """Return it with axes of size 1 put in or left out; None, if the reshape does anything else."""
    left = [(axis, size) for axis, size in zip(seen.axes, seen.shape, strict=True) if size != 1]
    if [size for _, size in left] != [size for size in shape if size != 1]:
        return None
    named = iter(axis for axis, _ in left)
    return Seen(seen.source, shape, tuple(-1 if size == 1 else next(named) for size in shape))


def as_source(whole: Seen, part: Seen) -> relax.Expr | None:
    """Return the source of an operand so that it meets the source of another, larger one; None if it can't."""
    offset = len(whole.shape) - len(part.shape)
    if offset < 0:
        return None
    for place, (axis, size) in enumerate(zip(part.axes, part.shape, strict=True)):
        if size != 1 and axis != whole.axes[place + offset]:
            return None
    return part.source


def constant_as_source(whole: Seen, value: np.ndarray) -> np.ndarray | None:
    """Return a constant operand so that it meets the source of another, larger one; None if it can't."""
    rank = len(shape_of(whole.source) or ())
    if value.ndim > len(whole.shape):
        return None
    dims = [1] * (len(whole.shape) - value.ndim) + list(value.shape)
    places = [(axis, n) for n, (axis, size) in enumerate(zip(whole.axes, dims, strict=True)) if size != 1]
    if any(axis < 0 for axis, _ in places) or math.prod(dims) != value.size:
        return None
    places.sort()
    rest = [n for n, size in enumerate(dims) if size == 1]
    moved = value.reshape(dims).transpose([*(n for _, n in places), *rest])
    sizes = dict((axis, dims[n]) for axis, n in places)
    return np.ascontiguousarray(moved.reshape([sizes.get(axis, 1) for axis in range(rank)]))
