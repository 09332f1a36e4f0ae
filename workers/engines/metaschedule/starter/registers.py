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
from dataclasses import dataclass, replace
from typing import Any

from tvm import DataType, tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.target import Target

from workers.engines.metaschedule.indices import moves
from workers.engines.metaschedule.spaces import tensorized_with, tiled_blocks
from workers.engines.metaschedule.starter.caches import Loop, Operand, blocked_split
from workers.engines.metaschedule.starter.sketches import Sketch
from workers.engines.metaschedule.targets import cores_of, vector_bits, vector_registers
from workers.engines.metaschedule.tiles import tiles_named
from workers.engines.metaschedule.workload import FREE_LAYOUTS

__all__ = ["Tile", "register_tiles"]

# Multiplications that a core begins in a cycle, and that are on their way at once; vectors it loads in one.
_PER_CYCLE, _ON_THEIR_WAY, _LOADS = 2, 8, 2
# So many bytes of vectors, all used again, come from the first cache; from the second, so many in a cycle.
_FIRST_CACHE, _SECOND_RATE = 16 << 10, 20
# No more of one loop: code grows with it.
_LARGEST = 16
# Steps of the sum between two looks at the sums' place in memory.
_STEPS = 64
# Parts that a core gets of what an instruction of matrices computes, at most.
_PARTS = 8
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
    blocked : bool
        It is one of a block of many that stays in the second cache.
    narrow : bool
        Its vectors are of fewer numbers than a register holds.
    """

    share: float
    vectors: int
    numbers: int
    inner: tuple[int, ...]
    blocked: bool = False
    narrow: bool = False

    @property
    def both(self) -> bool:
        """Whether everything that is loaded is used more than once."""
        return min(self.vectors, self.numbers) > 1

    @property
    def loads(self) -> float:
        """What is loaded for a multiplication."""
        return (self.vectors + self.numbers) / (self.vectors * self.numbers)


def register_tiles(
    space: Schedule, sketch: Sketch, module: IRModule, target: Target
) -> Iterator[tuple[Tile, list[list[int]]]]:
    """Yield the best tiles of a design space, and how each of its loops is split then.

    Nothing where a space has no product of vectors with numbers: a depthwise convolution, a pool, a product
    whose operand must be gathered.
    """
    if tiles_named(tensorized_with(space)) is not None:
        yield Tile(1.0, 2, 2, tuple(1 for _ in sketch.loops)), _in_parts(sketch, cores_of(target))
        return
    block = _product(space, module)
    uses = None if block is None else _uses(block, sketch, module)
    if block is None or uses is None:
        return
    side_by_side = _side_by_side(block, uses)
    tiles = _tiles(sketch, uses, vector_bits(target) // 8, vector_registers(target), side_by_side)
    written = block.writes[0].source
    narrow = int(written.shape[-1]) * DataType(str(written.dtype)).bits < vector_bits(target)
    tiles = [replace(tile, narrow=narrow) for tile in tiles]
    blocked = _blocked(block, sketch, uses, tiles[0], module, target) if tiles else None
    if blocked is not None:
        yield replace(tiles[0], blocked=True), blocked
    for tile in tiles[:_DIFFERENT]:
        yield tile, _split(sketch, uses, tile)
    for tile in tiles[: blocked is None]:
        yield tile, _split(sketch, uses, tile, image_within=True)


def _in_parts(sketch: Sketch, cores: int) -> list[list[int]]:
    """Split loops over what an instruction of matrices does at once into parts for each core."""
    left, split = _PARTS * cores, []
    for extent, factors in zip(sketch.loops, sketch.tiles, strict=True):
        if len(factors) == _SPATIAL:
            parts = max(size for size in range(1, min(extent, left) + 1) if extent % size == 0)
            left //= parts
            split.append([parts, extent // parts, 1, 1])
        else:
            split.append([1, extent])
    return split


def _product(space: Schedule, module: IRModule) -> Any:
    """Return the block that a space tiles, as it stands in the module; None where that isn't one."""
    blocks = tiled_blocks(space)
    if len(blocks) != 1:
        return None
    schedule = Schedule(module, debug_mask="none")
    return schedule.get(schedule.get_sblock(*blocks[0]))


def _operands(block: Any) -> list[Any]:
    """Return what a block reads, its own sums apart."""
    return [region for region in block.reads if not region.source.same_as(block.writes[0].source)]


def _blocked(
    block: Any, sketch: Sketch, uses: Sequence[str], tile: Tile, module: IRModule, target: Target
) -> list[list[int]] | None:
    """Split each loop into blocks that stay in the second cache; None where tiles alone are as good."""
    inner = iter(tile.inner)
    loops = [
        Loop(extent, next(inner) if len(factors) == _SPATIAL else 1, len(factors) != _SPATIAL)
        for extent, factors in zip(sketch.loops, sketch.tiles, strict=True)
    ]
    # Of the last dimension a vector is split off before: that is one step.
    steps = {
        iteration.var: int(iteration.dom.extent) // loop.extent
        for iteration, loop in zip(block.iter_vars, loops, strict=True)
    }
    regions = (*_operands(block), block.writes[0])
    operands = [_operand(region, steps, _is_free(region, module)) for region in regions]
    known = [operand for operand in operands if operand is not None]
    if len(known) < len(operands):
        return None
    plain = [
        loop.extent if loop.summed or use == _NUMBERS else loop.tile
        for loop, use in zip(loops, uses, strict=True)
    ]
    return blocked_split(loops, known[:-1], known[-1], plain, cores_of(target))


def _operand(region: Any, steps: dict[Any, int], packed: bool) -> Operand | None:
    """Say what of a buffer is touched with each loop; None where that can't be told of a place in it."""
    reach, moved_by = [], []
    for part in region.region:
        by = moves(part.min)
        if by is None or not set(by) <= {var.name for var in steps}:
            return None
        moved = [(by.get(var.name, 0.0), step) for var, step in steps.items()]
        reach.append(math.ceil(1 + sum(each * (step - 1) for each, step in moved)))
        moved_by.append(tuple(each * step for each, step in moved))
    bits = DataType(str(region.source.dtype)).bits
    shape = tuple(int(extent) for extent in region.source.shape)
    return Operand(max(1, bits // 8), tuple(reach), tuple(moved_by), shape, packed)


def _uses(block: Any, sketch: Sketch, module: IRModule) -> list[str] | None:
    """Say of each loop that is split whether it counts vectors, numbers, or neither."""
    written = block.writes[0]
    last = {var.name for var in _variables(written.region[-1].min)}
    reads = _operands(block)
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


def _side_by_side(block: Any, uses: Sequence[str]) -> bool:
    """Say whether the numbers of the innermost loop that counts them lie beside one another in memory."""
    names = [iteration.var.name for iteration in block.iter_vars]
    counting = [name for name, use in zip(names, uses, strict=True) if use == _NUMBERS]
    last = {var.name for read in _operands(block) for var in _variables(read.region[-1].min)}
    return bool(counting) and counting[-1] in last


def _variables(expr: Any) -> list[Any]:
    return list(tirx.analysis.undefined_vars(expr, []))


def _contiguous(read: Any, last: set[str], module: IRModule) -> bool:
    """Say whether vectors of an operand can be loaded: as it lies, or since it may lie as one likes."""
    return last <= {var.name for var in _variables(read.region[-1].min)} or _is_free(read, module)


def _is_free(region: Any, module: IRModule) -> bool:
    """Say whether a buffer may lie as one likes, as weights do."""
    main = module["main"]
    free = [] if main.attrs is None else main.attrs.get(FREE_LAYOUTS, [])
    return any(region.source.same_as(main.params[int(place)]) for place in free)


def _tiles(
    sketch: Sketch, uses: Sequence[str], vector_bytes: int, registers: int, side_by_side: bool
) -> list[Tile]:
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
        sums = vectors * numbers
        if sums + _held(inner, [use for _, use in loops], vectors, numbers) > registers:
            continue
        cycles = max(sums, _ON_THEIR_WAY) / _PER_CYCLE
        cycles = max(cycles, (vectors + numbers) / _LOADS)
        if vectors * vector_bytes * summed > _FIRST_CACHE:
            cycles = max(cycles, vectors * vector_bytes / _SECOND_RATE)
        share = sums / _PER_CYCLE / cycles
        beside = next(
            (size for size, (_, use) in zip(inner[::-1], loops[::-1], strict=True) if use == _NUMBERS), 1
        )
        if side_by_side and beside > 1:
            share /= 4  # they are loaded one by one, and once for each element of a vector
        found.append(Tile(round(share, 3), vectors, numbers, inner))
    # Of those that are as good, what loads less goes first, and what lies side by side before what doesn't.
    return sorted(
        found, key=lambda tile: (tile.share, tile.both, -tile.loads, tile.inner[::-1]), reverse=True
    )


def _held(inner: Sequence[int], uses: Sequence[str], vectors: int, numbers: int) -> int:
    """Return the registers that a step takes besides its sums.

    Code goes through a tile in the order of its loops, and so does LLVM: what the innermost of them counts
    is used again for each step of the loops around it, and all of it is held until then.
    """
    if min(vectors, numbers) == 1:
        return 2
    innermost = [use for size, use in zip(inner, uses, strict=True) if size > 1 and use][-1]
    return 1 + (vectors if innermost == _VECTORS else numbers)


def _divisors(extent: int) -> list[int]:
    return [size for size in range(1, min(extent, _LARGEST) + 1) if extent % size == 0]


def _split(sketch: Sketch, uses: Sequence[str], tile: Tile, *, image_within: bool = False) -> list[list[int]]:
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
            part = max(size for size in range(1, min(extent, _STEPS) + 1) if extent % size == 0)
            split.append([extent // part, part])
            first = False
        else:
            split.append([1, extent])
    return split
