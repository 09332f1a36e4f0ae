"""A tensor that is another one, seen with its axes in another order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from tvm import relax

from workers.engines.metaschedule.layouts.tensors import shape_of

__all__ = ["Seen", "image"]

_Axes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Seen:
    """A tensor of the model as another one.

    Attributes
    ----------
    source : relax.Expr
        Of four axes, channels first.
    sizes : tuple of int
        Of the source.
    shape : tuple of int
        As the model has it.
    axes : tuple of tuple of int
        For each axis of the model's tensor those of the source that are it, one after the other: none for one
        of size 1. Axes of the source that aren't named have size 1.
    """

    source: relax.Expr
    sizes: tuple[int, ...]
    shape: tuple[int, ...]
    axes: _Axes

    @property
    def same_order(self) -> bool:
        """Whether the elements lie as in the source, so that a reshape makes one the other."""
        order = [*itertools.chain(*self.axes)]
        return order == sorted(order)

    @property
    def is_image(self) -> bool:
        """Whether it is just the source."""
        return self.same_order and self.shape == self.sizes

    def place_of(self, axis: int) -> int | None:
        """Return which axis of the source one of the model is; None if it is several, or none."""
        return self.axes[axis][0] if len(self.axes[axis]) == 1 else None

    def plain(self, builder: relax.BlockBuilder) -> relax.Expr:
        """Return the tensor as the model has it."""
        made = self.source
        if not self.same_order:
            named = [*itertools.chain(*self.axes)]
            rest = [axis for axis in range(len(self.sizes)) if axis not in named]
            order = [*rest[: rest[:1] == [0]], *named, *rest[rest[:1] == [0] :]]
            made = builder.emit(relax.op.permute_dims(made, order))
        return made if shape_of(made) == self.shape else builder.emit(relax.op.reshape(made, self.shape))

    def made(self, source: relax.Expr, shape: Sequence[int]) -> Seen:
        """Return what an operator makes of the source, its axes being in the same order."""
        sizes, shape = list(self.sizes), tuple(shape)
        for axes, had, size in zip(self.axes, self.shape, shape, strict=True):
            if had != size:
                (axis,) = axes
                sizes[axis] = size
        left = tuple(tuple(axis for axis in axes if sizes[axis] != 1) for axes in self.axes)
        return Seen(source, tuple(sizes), shape, left)

    def permuted(self, order: Sequence[int]) -> Seen:
        """Return it with its axes in an order."""
        shape, axes = tuple(self.shape[axis] for axis in order), tuple(self.axes[axis] for axis in order)
        return replace(self, shape=shape, axes=axes)

    def reshaped(self, shape: Sequence[int]) -> Seen | None:
        """Return it with other axes; None if the reshape takes axes of the source apart."""
        left = [*itertools.chain(*self.axes)]
        axes: list[tuple[int, ...]] = []
        for size in shape:
            together: list[int] = []
            while left and math.prod(self.sizes[axis] for axis in together) < size:
                together.append(left.pop(0))
            if math.prod(self.sizes[axis] for axis in together) != size:
                return None
            axes.append(tuple(together))
        return replace(self, shape=tuple(shape), axes=tuple(axes))

    def operand(self, other: Seen) -> relax.Expr | None:
        """Return the source of an operand so that it meets this one's; None if it can't."""
        offset = len(self.shape) - len(other.shape)
        if offset < 0:
            return None
        whole = self.axes[offset:]
        if any(axes not in ((), there) for axes, there in zip(other.axes, whole, strict=True)):
            return None
        wide = {*itertools.chain(*other.axes)}
        return other.source if all(axis in wide or other.sizes[axis] == 1 for axis in range(4)) else None

    def spread(self, shape: Sequence[int]) -> tuple[list[int], list[int]] | None:
        """Say how an operand that is no image comes to meet the source.

        Returns
        -------
        tuple of list of int, or None
            The shape to give it, and the order to bring its axes into then; axes of size 1 left out. None if
            it has more axes than the tensor, or an axis where that has one of size 1.
        """
        offset = len(self.shape) - len(shape)
        if offset < 0:
            return None
        parts: list[int] = []
        for size, axes, had in zip(shape, self.axes[offset:], self.shape[offset:], strict=True):
            if size not in (1, had):
                return None
            parts += axes if size != 1 else ()
        return [self.sizes[axis] for axis in parts], parts

    def constant(self, value: np.ndarray) -> np.ndarray | None:
        """Return a constant operand so that it meets the source; None if it can't."""
        found = self.spread(value.shape)
        if found is None:
            return None
        sizes, axes = found
        moved = value.reshape(sizes).transpose(np.argsort(axes, kind="stable"))
        wide = [self.sizes[axis] if axis in axes else 1 for axis in range(len(self.sizes))]
        return np.ascontiguousarray(moved.reshape(wide))


def image(source: relax.Expr) -> Seen:
    """Return an image as it is."""
    sizes = shape_of(source) or ()
    axes = tuple((axis,) if size != 1 else () for axis, size in enumerate(sizes))
    return Seen(source, sizes, sizes, axes)
