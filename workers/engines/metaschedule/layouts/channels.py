"""Where the channels of a tensor lie in its blocks.

Mostly one after the other. But blocks may be wider than there are channels, so that some places hold none:
what is in them is a number, and means nothing. And a shuffle of channels is another order, and moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["NONE", "Channels"]

#: In place of a channel, or of a place: there is none.
NONE = -1


@dataclass(frozen=True)
class Channels:
    """Places for channels in blocks.

    Attributes
    ----------
    block : int
        Places of a block.
    size : int
        Of all places, a multiple of it.
    places : tuple of int
        Where each channel of the model lies.
    """

    block: int
    size: int
    places: tuple[int, ...]

    @classmethod
    def in_order(cls, count: int, block: int) -> Channels:
        """Return places for channels one after the other, and behind them for what fills the last block."""
        return cls(block, -(-count // block) * block, tuple(range(count)))

    @property
    def count(self) -> int:
        """How many channels there are."""
        return len(self.places)

    @property
    def full(self) -> bool:
        """Whether each place holds a channel."""
        return self.count == self.size

    @property
    def ordered(self) -> bool:
        """Whether the channels lie one after the other, from the first place on."""
        return self.places == tuple(range(self.count))

    @property
    def plain(self) -> bool:
        """Whether the places are the channels."""
        return self.full and self.ordered

    def of_groups(self, groups: int) -> Channels | None:
        """Return where the channels of each of so many groups lie in its own blocks; None if they don't."""
        each, size = self.count // groups, self.size // groups
        if self.count % groups or self.size % (groups * self.block):
            return None
        first = self.places[:each]
        alike = all(
            self.places[each * group : each * (group + 1)] == tuple(size * group + place for place in first)
            for group in range(groups)
        )
        return Channels(self.block, size, first) if alike and max(first, default=0) < size else None

    def beside(self, other: Channels) -> Channels:
        """Return the places of both where the second tensor is put behind the first."""
        behind = tuple(self.size + place for place in other.places)
        return Channels(self.block, self.size + other.size, self.places + behind)

    def taken(self, channels: Sequence[int]) -> Channels:
        """Return the places of some of the channels, in that order."""
        return Channels(self.block, self.size, tuple(self.places[channel] for channel in channels))

    def held(self) -> np.ndarray:
        """Return which channel each place holds, or NONE."""
        found = np.full(self.size, NONE)
        found[list(self.places)] = range(self.count)
        return found

    def spread(self, value: np.ndarray, axis: int, fill: float = 0) -> np.ndarray:
        """Return an array whose axis is channels with each in its place."""
        if self.plain:
            return value
        laid = np.full((*value.shape[:axis], self.size, *value.shape[axis + 1 :]), fill, value.dtype)
        laid[(slice(None),) * axis + (list(self.places),)] = value
        return laid

    def sources(self, of: Channels | None) -> list[int]:
        """Return for each place that of another tensor which holds its channel, or NONE.

        Parameters
        ----------
        of : Channels or None
            Of the other tensor; None where its places are the channels.
        """
        if of is None:
            return [int(channel) for channel in self.held()]
        return [of.places[channel] if channel != NONE else NONE for channel in map(int, self.held())]
