"""From one layout into another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from tvm import relax, te

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
    """Return a constant, (N, C, H, W), as (N, C/block, H, W, block)."""
    batch, channels, height, width = value.shape
    split = value.reshape(batch, channels // block, block, height, width)
    return np.ascontiguousarray(split.transpose(0, 1, 3, 4, 2))


def unblocked(data: te.Tensor) -> te.Tensor:
    """Return a tensor in blocks as (N, C, H, W)."""
    batch, chunks, height, width, block = (int(n) for n in data.shape)
    return te.compute(
        (batch, chunks * block, height, width),
        lambda n, c, h, w: data[n, c // block, h, w, c % block],
        name="to_nchw",
    )


def reblocked(data: te.Tensor, block: int) -> te.Tensor:
    """Return a tensor, in NCHW or in other blocks, in blocks of `block` channels."""
    batch, chunks, height, width = (int(n) for n in data.shape[:4])
    had = int(data.shape[4]) if len(data.shape) == 5 else 0

    def at(n: Any, chunk: Any, h: Any, w: Any, inner: Any) -> Any:
        channel = chunk * block + inner
        return data[n, channel // had, h, w, channel % had] if had else data[n, channel, h, w]

    return te.compute((batch, chunks * max(had, 1) // block, height, width, block), at, name="to_blocks")
