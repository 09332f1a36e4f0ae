"""How many channels are put side by side."""

from __future__ import annotations

from dataclasses import dataclass

from workers.engines.metaschedule.layouts.channels import Channels

__all__ = ["Widths", "share_of_rate"]

# Fewer channels side by side than this are no gain over a row.
_LEAST_BLOCK = 4
# What a convolution reaches in NCHW, where vectors are filled from a row, of what it does in whole blocks.
_ROW = 0.47
# Places without a channel are computed where they are written, and again, by half as much, by who reads them.
_READ_AGAIN = 0.5


def share_of_rate(block: int, lanes: int) -> float:
    """Return at what part of the rate of blocks as wide as vectors others are computed.

    A block of half a vector does half as much at once, and one of 6 is a vector of 4 and one of 2; but it is
    never less than in NCHW, since pixels can lie side by side as well.
    """
    if not block or block % lanes == 0:
        return 1.0 if block else _ROW
    return max(_ROW, block / lanes / block.bit_count())


@dataclass(frozen=True)
class Widths:
    """The widths of blocks.

    Attributes
    ----------
    lanes : int
        Numbers that a vector of the target holds, the most of a block.
    fill : bool
        Whether blocks may be wider than what they hold.
    whole : bool
        Whether all channels are one block, as in NHWC.
    tiles : frozenset of str
        Types that the target multiplies as whole matrices, if their numbers lie so (see :mod:`..tiles`).
    """

    lanes: int
    fill: bool = True
    whole: bool = False
    tiles: frozenset[str] = frozenset()

    def choose(self, channels: int) -> Channels | None:
        """Return how to put channels side by side; None where a row of the image is the better vector."""
        if self.whole:
            return Channels.in_order(channels, channels)
        sizes = [size for size in range(_LEAST_BLOCK, self.lanes + 1) if channels % size == 0]
        powers = [size for size in sizes if size & (size - 1) == 0]
        block = max(powers or sizes, default=0)
        more = -(-channels // self.lanes) * self.lanes / channels - 1
        if self.fill and (1 + more) + _READ_AGAIN * more < 1 / share_of_rate(block, self.lanes):
            block = self.lanes
        return Channels.in_order(channels, block) if block else None
