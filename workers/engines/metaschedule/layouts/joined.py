"""Channels of several tensors as those of one, which is made when somebody asks for it.

What is put side by side is often taken apart again: a shuffle between a concatenation and a split moves
nothing then, and of the tensors that it was made of, blocks are copied that are read, and no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from tvm import relax

from workers.engines.metaschedule.layouts.channels import Channels
from workers.engines.metaschedule.layouts.tensors import Blocked

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__ = ["Joined", "beside", "in_whole_blocks", "whole"]

# Places that are copied for each channel that is wanted: beyond that, channels are copied one by one.
_SPARE = 1.3


@dataclass(frozen=True)
class Joined:
    """Channels of tensors in blocks.

    Attributes
    ----------
    parts : tuple of Blocked
        Of the same N, H, W and block.
    places : tuple of (int, int)
        For each channel which part it is of, and its place there.
    """

    parts: tuple[Blocked, ...]
    places: tuple[tuple[int, int], ...]

    def taken(self, channels: Sequence[int]) -> Joined:
        """Return some of the channels, in that order."""
        places = [self.places[channel] for channel in channels]
        used = sorted({part for part, _ in places})
        parts = tuple(self.parts[part] for part in used)
        return Joined(parts, tuple((used.index(part), place) for part, place in places))


def whole(data: Blocked) -> Joined:
    """Return the channels of one tensor."""
    return Joined((data,), tuple((0, place) for place in data.channels.places))


def beside(found: Iterable[Joined]) -> Joined:
    """Return the channels of several, one after the other."""
    joined = list(found)
    parts = list({part.tensor: part for one in joined for part in one.parts}.values())
    at = {part.tensor: number for number, part in enumerate(parts)}
    places = [(at[one.parts[part].tensor], place) for one in joined for part, place in one.places]
    if len({*places}) == len(places):
        return Joined(tuple(parts), tuple(places))
    # What is there twice is copied twice.
    parts = [part for one in joined for part in one.parts]
    places, start = [], 0
    for one in joined:
        places += [(start + part, place) for part, place in one.places]
        start += len(one.parts)
    return Joined(tuple(parts), tuple(places))


def in_whole_blocks(blocks: Blocks, joined: Joined, wanted: Channels | None) -> tuple[Blocked, bool]:
    """Return a tensor made of the blocks that hold the channels, and whether it will do as it is.

    Parameters
    ----------
    wanted : Channels or None
        Where the channels would lie if they were copied one by one.
    """
    block = joined.parts[0].block
    behind, laid, places = 0, [], [0] * len(joined.places)
    for number, part in enumerate(joined.parts):
        mine = [(n, place) for n, (of, place) in enumerate(joined.places) if of == number]
        chunks = sorted({place // block for _, place in mine})
        for n, place in mine:
            places[n] = behind + chunks.index(place // block) * block + place % block
        behind += len(chunks) * block
        laid += _slices(blocks, part, chunks)
    tensor = laid[0] if len(laid) == 1 else blocks.builder_.emit(relax.op.concat(laid, axis=1))
    most = max(wanted.size if wanted else 0, int(_SPARE * len(places)) if blocks.fills else len(places))
    return Blocked(tensor, Channels(block, behind, tuple(places))), behind <= most


def _slices(blocks: Blocks, part: Blocked, chunks: list[int]) -> list[relax.Expr]:
    """Return some of the blocks of a tensor, those that lie side by side together."""
    if len(chunks) * part.block == part.channels.size:
        return [part.tensor]
    ends = [n for n, (one, other) in enumerate(pairwise(chunks), 1) if other != one + 1]
    return [
        blocks.builder_.emit(
            relax.op.strided_slice(part.tensor, axes=[1], begin=[chunks[start]], end=[chunks[stop - 1] + 1])
        )
        for start, stop in pairwise([0, *ends, len(chunks)])
    ]
