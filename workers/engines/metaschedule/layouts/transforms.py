"""From one layout into another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from tvm import relax, te, tirx

from workers.engines.metaschedule.layouts.places import read_at

__all__ = ["OUTPUTS", "PutIn", "Transform", "in_blocks", "reblocked", "unblocked"]

#: The cause of a transform that no operator asks for.
OUTPUTS = "outputs"


@dataclass(frozen=True)
class Transform:
    """A tensor that is brought from one layout into another while the model runs.

    Attributes
    ----------
    bytes : int
        Of the tensor; so many are read, and so many written.
    source, into : str
        Layouts: ``nchw``, ``nhwc``, ``nchw16c`` and so on.
    cause : str
        The operator of the model that asked for it, e.g. ``relax.reshape``, or ``outputs``.
    """

    bytes: int
    source: str
    into: str
    cause: str

    @property
    def reblocks(self) -> bool:
        """Whether blocks of one size become blocks of another."""
        return "nchw" not in (self.source, self.into)


class PutIn(NamedTuple):
    """A transform where it stands.

    Attributes
    ----------
    made, of : relax.Expr
        The tensor that comes of it, and the one it is made of.
    reader : relax.Var or None
        What the model calls the result that is made of it.
    """

    transform: Transform
    made: relax.Expr
    of: relax.Expr
    reader: relax.Var | None


def in_blocks(value: np.ndarray, block: int) -> np.ndarray:
    """Return a constant, (N, C, H, W), as (N, C/block, H, W, block); of a volume in the same way."""
    batch, channels, *space = value.shape
    split = value.reshape(batch, channels // block, block, *space)
    return np.ascontiguousarray(np.moveaxis(split, 2, -1))


def unblocked(data: te.Tensor, places: Sequence[int], *table: te.Tensor) -> te.Tensor:
    """Return a tensor in blocks as (N, C, H, W), or (N, C, D, H, W).

    Parameters
    ----------
    places : sequence of int
        Where each channel lies.
    table : te.Tensor
        What :func:`.places.table_for` has for them, if it has anything.
    """
    batch, _, *space, block = (int(n) for n in data.shape)

    def at(n: Any, c: Any, *place: Any) -> Any:
        return read_at(places, c, lambda p: data(n, p // block, *place, p % block), _zero(data), *table)

    return te.compute((batch, len(places), *space), at, name="to_nchw")


def reblocked(data: te.Tensor, rank: int, sources: Sequence[int], block: int, *table: te.Tensor) -> te.Tensor:
    """Return a tensor, in NCHW or in other blocks, in blocks of `block` places.

    Parameters
    ----------
    rank : int
        How many axes the model's tensor has: one more has one in blocks.
    sources : sequence of int
        For each place of the result that of the tensor, or NONE.
    table : te.Tensor
        What :func:`.places.table_for` has for them, if it has anything.
    """
    batch, _, *space = (int(n) for n in data.shape[:rank])
    had = int(data.shape[rank]) if len(data.shape) > rank else 0

    def at(n: Any, chunk: Any, *index: Any) -> Any:
        *place, inner = index

        def read(channel: Any) -> Any:
            return data(n, channel // had, *place, channel % had) if had else data(n, channel, *place)

        return read_at(sources, chunk * block + inner, read, _zero(data), *table)

    return te.compute((batch, len(sources) // block, *space, block), at, name="to_blocks")


def _zero(data: te.Tensor) -> Any:
    return tirx.const(0, data.dtype)
