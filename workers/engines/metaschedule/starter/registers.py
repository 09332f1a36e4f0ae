"""Tiles whose sums stay in registers, worked out from what a core can do.

The inner loop of a product or a convolution multiplies vectors of one operand (a convolution's weights) with
single numbers of the other. With a tile of `v` vectors and `s` numbers it loads ``v + s`` of them for
``v * s`` multiplications, and keeps as many sums. A search that draws tiles at random finds one that fills a
core's registers late. But there are few such tiles, and which they are can be told beforehand.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.target import Target

from workers.engines.metaschedule.spaces import tiled_blocks
from workers.engines.metaschedule.starter.sketches import Sketch
from workers.engines.metaschedule.targets import vector_bits, vector_registers
from workers.engines.metaschedule.workload import FREE_LAYOUTS

__all__ = ["Tile", "register_tiles"]

# Multiplications that a core begins in a cycle, and that are on their way at once; vectors it loads in one.
_PER_CYCLE, _ON_THEIR_WAY, _LOADS = 2, 8, 2
# So many bytes of vectors, all used again, come from the first cache; from the second, so many in a cycle.
_FIRST_CACHE, _SECOND_RATE = 16 << 10, 20
# No more of one loop: code grows with it.
_LARGEST = 16
# Steps of the sum between two looks at the sums' place in memory, and with more of the image in between.
_STEPS, _LONG_STEPS = 16, 64
# So many different tiles are worth a look.
_DIFFERENT = 3

_SPATIAL, _SUMMED = 4, 2
_VECTORS, _NUMBERS = "vectors", "numbers"


@dataclass(frozen=True)
class Tile:
    """A choice of inner tiles.

    Attributes
    ----------
    share : float
        Of the multiplications that a core could do, as far as registers, loads and caches let it.
    vectors, numbers : int
        What is loaded for a step of the sum.
    inner : tuple of int
        For each spatial loop.
    """

    share: float
    vectors: int
    numbers: int
    inner: tuple[int, ...]

    @property
    def both(self) -> bool:
        """Whether everything that is loaded is used more than once."""
        return min(self.vectors, self.numbers) > 1


def register_tiles(
    space: Schedule, sketch: Sketch, module: IRModule, target: Target
) -> Iterator[tuple[Tile, list[list[int]]]]:
    """Yield the best tiles of a design space, and how each of its loops is split then.

    Nothing where a space has no product of vectors with numbers: a depthwise convolution, a pool, a product
    whose operand must be gathered.
    """
    uses = _uses(space, sketch, module)
    if uses is None:
        return
    tiles = _tiles(sketch, uses, vector_bits(target) // 8, vector_registers(target))
    for tile in tiles[:_DIFFERENT]:
        yield tile, _split(sketch, uses, tile, _STEPS)
    for tile in tiles[:1]:
        yield tile, _split(sketch, uses, tile, _LONG_STEPS, image_within=True)


def _uses(space: Schedule, sketch: Sketch, module: IRModule) -> list[str] | None:
    """Say of each loop that is split whether it counts vectors, numbers, or neither."""
    blocks = tiled_blocks(space)
    if len(blocks) != 1:
        return None
    schedule = Schedule(module, debug_mask="none")
    block = schedule.get(schedule.get_sblock(*blocks[0]))
    written = block.writes[0]
    last = {var.name for var in _variables(written.region[-1].min)}
    reads = [read for read in block.reads if not read.source.same_as(written.source)]
    if len(block.iter_vars) != len(sketch.tiles) or len(reads) != 2 or len(last) != 1:
        return None
    found = [{var.name for part in read.region for var in _variables(part.min)} for read in reads]
    by_vector = [number for number, names in enumerate(found) if last <= names]
    if len(by_vector) != 1 or not _contiguous(reads[by_vector[0]], last, module):
        return None
    vectors, numbers = found[by_vector[0]], found[1 - by_vector[0]]
    names = [iteration.var.name for iteration in block.iter_vars]
    return [
        _VECTORS if name in vectors - numbers else _NUMBERS if name in numbers - vectors else ""
        for name in names
    ]


def _variables(expr: Any) -> list[Any]:
    return list(tirx.analysis.undefined_vars(expr, []))


def _contiguous(read: Any, last: set[str], module: IRModule) -> bool:
    """Say whether vectors of an operand can be loaded: as it lies, or since it may lie as one likes."""
    if last <= {var.name for var in _variables(read.region[-1].min)}:
        return True
    main = module["main"]
    free = [] if main.attrs is None else main.attrs.get(FREE_LAYOUTS, [])
    return any(read.source.same_as(main.params[int(place)]) for place in free)


def _tiles(sketch: Sketch, uses: Sequence[str], vector_bytes: int, registers: int) -> list[Tile]:
    loops = [
        (extent, use)
        for extent, use, factors in zip(sketch.loops, uses, sketch.tiles, strict=True)
        if len(factors) == _SPATIAL
    ]
    summed = math.prod(
        extent for extent, factors in zip(sketch.loops, sketch.tiles, strict=True) if len(factors) == _SUMMED
    )
    found = []
    for inner in itertools.product(*(_divisors(extent) if use else [1] for extent, use in loops)):
        vectors, numbers = (
            math.prod(size for size, (_, use) in zip(inner, loops, strict=True) if use == wanted)
            for wanted in (_VECTORS, _NUMBERS)
        )
        if vectors * numbers + min(vectors, numbers) + 1 > registers:
            continue
        sums = vectors * numbers
        cycles = max(sums, _ON_THEIR_WAY) / _PER_CYCLE
        cycles = max(cycles, (vectors + numbers) / _LOADS)
        if vectors * vector_bytes * summed > _FIRST_CACHE:
            cycles = max(cycles, vectors * vector_bytes / _SECOND_RATE)
        share = sums / _PER_CYCLE / cycles
        beside = next(
            (size for size, (_, use) in zip(inner[::-1], loops[::-1], strict=True) if use == _NUMBERS), 1
        )
        if _uneven(beside) or (vectors > 1 and _uneven(numbers)):
            share /= 2  # LLVM loads three, five or seven numbers at once, and takes them apart
        found.append(Tile(round(share, 3), vectors, numbers, inner))
    # Of those that are as good, what lies side by side goes before what doesn't.
    return sorted(found, key=lambda tile: (tile.share, tile.both, tile.inner[::-1]), reverse=True)


def _uneven(count: int) -> bool:
    return count & (count - 1) != 0


def _divisors(extent: int) -> list[int]:
    return [size for size in range(1, min(extent, _LARGEST) + 1) if extent % size == 0]


def _split(
    sketch: Sketch, uses: Sequence[str], tile: Tile, steps: int, image_within: bool = False
) -> list[list[int]]:
    """Split each loop: vectors on the outside, then numbers, then the sum, a tile of both within."""
    inner = iter(tile.inner)
    innermost = max((place for place, use in enumerate(uses) if use == _NUMBERS), default=-1)
    split: list[list[int]] = []
    first = True
    for place, (extent, use, factors) in enumerate(zip(sketch.loops, uses, sketch.tiles, strict=True)):
        if len(factors) == _SPATIAL:
            size = next(inner)
            rest = extent // size
            if use != _NUMBERS:
                split.append([rest, 1, 1, size])
            else:
                within = image_within and place == innermost
                split.append([1, 1, rest, size] if within else [1, rest, 1, size])
        elif first:
            part = max(size for size in range(1, min(extent, steps) + 1) if extent % size == 0)
            split.append([extent // part, part])
            first = False
        else:
            split.append([1, extent])
    return split
