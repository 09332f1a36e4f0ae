"""Blocks of a product that stay in a core's second cache, worked out from what has to be moved otherwise.

A tile that fills the registers is computed over all of the sum, and then the next: one operand is read anew
for every tile of the other. Where that one lies in as many pages as there are steps in the sum, as a thousand
channels of a plain image do, or is far larger than the cache, that is what a kernel then takes. A block of
many tiles, over a part of the sum at a time, reads both operands as often as there are blocks of the other,
and has its sums and one of the operands beside it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Loop", "Operand", "blocked_split"]

# Of the second cache so many bytes are for a block's sums and for what they are made of; the rest is for what
# passes through, and for who shares it.
_SECOND_CACHE = 256 << 10
# Bytes that a core gets in a cycle from beyond it.
_BEYOND = 12.0
# Cycles that a sum takes for being put away and fetched again, for each part of the sum.
_PUT_AWAY = 2.0
# A core knows so many pages at once; beyond that, each takes it so many cycles more.
_PAGE, _PAGES, _PAGE_CYCLES = 4096, 64, 4
# Bytes of a line, of which all come along with one.
_LINE = 64
# Operations that a core begins in a cycle for each element of a vector.
_PER_CYCLE = 2
# Blocks are worth it where they take so much less: of eight kernels for which they were to take 0.9 of the
# time, they took 1.1 times what tiles did.
_WORTH = 0.7
# So many sizes of a block are looked at in each loop.
_SIZES = 12


@dataclass(frozen=True)
class Loop:
    """A loop of a product.

    Attributes
    ----------
    extent : int
    tile : int
        Of it, what is computed at once in registers; 1 of a loop over the sum.
    summed : bool
    """

    extent: int
    tile: int
    summed: bool


@dataclass(frozen=True)
class Operand:
    """What a product reads or writes.

    Attributes
    ----------
    bytes : int
        Of one element.
    reach : tuple of int
        Elements of each of its dimensions that one step of all loops touches: a vector of the last, say.
    moves : tuple of (tuple of float)
        For each of its dimensions, by how many elements a step of each loop moves on; less than one where it
        takes several steps.
    shape : tuple of int
    packed : bool
        It lies as it is read: a block of it is one piece.
    """

    bytes: int
    reach: tuple[int, ...]
    moves: tuple[tuple[float, ...], ...]
    shape: tuple[int, ...]
    packed: bool = False

    def size(self, steps: Sequence[int]) -> int:
        """Return the bytes that a block of so many steps of each loop brings along, in whole lines."""
        touched, run, pieces = self._touched(steps), self.bytes, 1
        whole = True
        for size, extent in reversed(list(zip(touched, self.shape, strict=True))):
            if whole or self.packed:
                run *= size
            else:
                pieces *= size
            whole &= size == extent
        return pieces * math.ceil(run / _LINE) * _LINE

    def pages(self, steps: Sequence[int]) -> int:
        """Return the pages of memory in which such a block lies."""
        if self.packed:
            return math.ceil(self.size(steps) / _PAGE)
        pages, stride, within = 1, self.bytes, self.bytes
        for size, extent in reversed(list(zip(self._touched(steps), self.shape, strict=True))):
            if stride < _PAGE:
                within = (size - 1) * stride + within
            else:
                pages *= size
            stride *= extent
        return pages * math.ceil(within / _PAGE)

    def moves_with(self, *loops: int) -> bool:
        """Say whether a step of one of some loops moves on in it."""
        return any(moves[loop] for moves in self.moves for loop in loops)

    def _touched(self, steps: Sequence[int]) -> list[int]:
        return [
            min(
                extent,
                math.ceil(reach + sum(by * (count - 1) for by, count in zip(moves, steps, strict=True))),
            )
            for reach, moves, extent in zip(self.reach, self.moves, self.shape, strict=True)
        ]


def blocked_split(
    loops: Sequence[Loop],
    operands: Sequence[Operand],
    result: Operand,
    plain: Sequence[int],
    cores: int,
) -> list[list[int]] | None:
    """Split each loop so that a block of tiles stays in the second cache.

    Parameters
    ----------
    loops : sequence of Loop
        In their order; vectors count as one step.
    operands : sequence of Operand
    result : Operand
    plain : sequence of int
        Of each loop, what is computed before the next part of one operand is read, without blocks.
    cores : int

    Returns
    -------
    list of list of int, or None
        Of a spatial loop four factors, of one over the sum two; None where one tile after the other is as
        good.
    """
    costs = _Costs(loops, operands, result, cores)
    best, chosen = math.inf, None
    for sizes in itertools.product(*(_sizes(number, loops) for number in range(len(loops)))):
        cost = costs.unevenness(sizes) * costs.of(sizes) if costs.fits(sizes) else math.inf
        if cost < best:
            best, chosen = cost, sizes
    if chosen is None or best > _WORTH * costs.of(plain):
        return None
    return [
        [loop.extent // size, size] if loop.summed else [loop.extent // size, 1, size // loop.tile, loop.tile]
        for loop, size in zip(loops, chosen, strict=True)
    ]


def _sizes(number: int, loops: Sequence[Loop]) -> list[int]:
    loop = loops[number]
    first = next(place for place, each in enumerate(loops) if each.summed)
    if loop.summed and number != first:
        return [loop.extent]  # a convolution's window, say
    rest = loop.extent // loop.tile
    sizes = [loop.tile * size for size in range(1, rest + 1) if rest % size == 0]
    # The largest ones of many: a block of few tiles is no block.
    return sizes[-_SIZES:] if len(sizes) > _SIZES else sizes


class _Costs:
    """What blocks take, in cycles of a core."""

    def __init__(
        self, loops: Sequence[Loop], operands: Sequence[Operand], result: Operand, cores: int
    ) -> None:
        self._loops, self._operands, self._result, self._cores = loops, operands, result, cores
        self._whole = [loop.extent for loop in loops]
        self._steps = math.prod(self._whole)
        self._tiles = math.prod(loop.extent // loop.tile for loop in loops if not loop.summed)
        self._sums = math.prod(loop.extent for loop in loops if not loop.summed)

    def fits(self, sizes: Sequence[int]) -> bool:
        """Say whether a block's sums are in the second cache, and beside them what all its tiles read again.

        That is what is not another with every step of the outermost loop within a block.
        """
        within = zip(self._loops, sizes, strict=True)
        outermost = [
            number for number, (loop, size) in enumerate(within) if not loop.summed and size > loop.tile
        ]
        held = self._result.size(sizes)
        held += sum(
            operand.size(sizes) for operand in self._operands if not operand.moves_with(*outermost[:1])
        )
        return held <= _SECOND_CACHE and self._blocks(sizes) >= self._cores

    def _blocks(self, sizes: Sequence[int]) -> int:
        return math.prod(
            loop.extent // size for loop, size in zip(self._loops, sizes, strict=True) if not loop.summed
        )

    def of(self, sizes: Sequence[int]) -> float:
        """Return the cycles that all of it takes, on all cores, while all of them are busy."""
        blocks = self._blocks(sizes)
        over = [loop.extent if loop.summed else size for loop, size in zip(self._loops, sizes, strict=True)]
        moved = 0.0
        for operand in self._operands:
            size = operand.size(self._whole)
            # What is in the second cache as a whole is read from further away once.
            moved += size if size <= _SECOND_CACHE else blocks * operand.size(over)
        parts = math.prod(
            loop.extent // size for loop, size in zip(self._loops, sizes, strict=True) if loop.summed
        )
        put_away = _PUT_AWAY * self._sums * (parts - 1)
        tile = [size if loop.summed else loop.tile for loop, size in zip(self._loops, sizes, strict=True)]
        pages = sum(operand.pages(tile) for operand in self._operands)
        looked_up = self._tiles * parts * max(0, pages - _PAGES) * _PAGE_CYCLES
        cycles = self._steps / _PER_CYCLE + put_away + looked_up + moved / _BEYOND
        return cycles / self._cores

    def unevenness(self, sizes: Sequence[int]) -> float:
        """Return how much longer it takes for cores that have a block more than others; 1 where none has."""
        blocks = self._blocks(sizes)
        return math.ceil(blocks / self._cores) * self._cores / blocks
