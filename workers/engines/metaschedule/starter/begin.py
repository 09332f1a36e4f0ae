"""The schedule that a kernel begins with, before any candidate of it was measured."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tvm
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.target import Target

from workers.engines.metaschedule._intrinsics import register_intrinsics
from workers.engines.metaschedule.contexts import tune_context
from workers.engines.metaschedule.protected import protected
from workers.engines.metaschedule.records import candidate_of, fitted_tiles
from workers.engines.metaschedule.soundness import finished
from workers.engines.metaschedule.spaces import cpu_spaces
from workers.engines.metaschedule.starter.pack import Entry, entries_of
from workers.engines.metaschedule.starter.registers import Tile, register_tiles
from workers.engines.metaschedule.starter.sketches import ROWS, Sketch, sketch_of
from workers.engines.metaschedule.targets import vector_bits, vector_registers
from workers.messages import Record

__all__ = ["begun", "begun_record", "filled_schedules", "lent_schedules"]

# Of the nearest so many are tried, where those before them can't be fitted.
_TRIED = 6
# A loop that is sixteen times as long is another loop, and two thousand times is no worse.
_FARTHEST = 4.0
# What counts how much against an entry: the sizes of its loops, how much its tiles must shrink to fit them,
# what others of its kind reach beyond it, vectors of another width. All are logarithms to base 2.
_SIZES, _SHRUNK, _SLOWER, _WIDTH = 0.5, 1.0, 1.0, 1.0
# The rule, where the pack has nothing: so many vectors are summed up at once, in so many registers, over so
# much of the first reduced loop; and a kernel of so few operations is left to one core.
_VECTORS, _SUMMED, _ALONE = 8, 16, 50e3
# How far what fills the registers is unrolled: the place of 64 in TVM's list, which is a tile. With steps of
# the sum unrolled as well LLVM leaves the sums in memory between two loops of them, and moves loads ahead
# until it has to put sums there meanwhile.
_UNROLLED = 2
# So much of what a core can do is worth so many tries before the first that is lent.
_GOOD, _BEFORE_LENT = 0.9, 2
# A tile of one vector takes so many of the registers where it is worth it, too.
_OF_REGISTERS = 0.75
# Spaces that divide another loop of a sum have one structure. At the other's places a sum may be computed
# again for each number that reads it, which is so many times what there is to compute.
_REPEATED = 1.5
# What TVM has for "at no loop of another block".
_BY_ITSELF = -1

_Decide = Callable[[Any, Any, Any, Any], Any]


def begun_record(module: IRModule, called: str, flops: float, target: Target) -> Record | None:
    """Return a schedule for a kernel of which there is no record; None where it can't be scheduled.

    Parameters
    ----------
    module : IRModule
        In its canonical form.
    called : str
        What its workload is called.

    Returns
    -------
    Record or None
        Its time is that of nothing: none was taken.
    """
    register_intrinsics(target)
    module = protected(module)
    context = tune_context(module, target)
    try:
        spaces = cpu_spaces(context.generate_design_space(), module, flops, target)
    except Exception:
        # Of a rule that fails at a kernel, such as one that joins a mask to the product it is added to.
        return None
    for schedule in begun(spaces, module, called, flops, target):
        if finished(schedule, context):
            return Record(candidate_of(schedule.trace), (math.inf,))
    return None


def begun(
    spaces: Sequence[Schedule], module: IRModule, called: str, flops: float, target: Target
) -> Iterator[Schedule]:
    """Yield schedules of a kernel's design spaces, those first that are most likely to be good.

    What TVM appends to a trace at its end (vectorizing, unrolling, threads) is left to its postprocessors.
    """
    known = [(space, sketch_of(candidate_of(space.trace).trace, called)) for space in spaces]
    # All that is to be decided for rows is whether they are shared among cores.
    by_rows = [pair for pair in known if ROWS in pair[1].structure]
    yield from (space for space, _ in sorted(by_rows, key=lambda pair: _last_resort(pair[1], flops)))
    known = [pair for pair in known if ROWS not in pair[1].structure]
    lent = lent_schedules(known, module, target)
    filled = filled_schedules(known, module, flops, target)
    # A library takes the first of all these: no more are made than it takes to say which that is.
    first = list(itertools.islice(filled, _BEFORE_LENT))
    good = _are_good([tile for tile, _ in first], target)
    yield from (schedule for (_, schedule), before in zip(first, good, strict=True) if before)
    yield from itertools.islice(lent, 1)
    yield from (schedule for (_, schedule), before in zip(first, good, strict=True) if not before)
    yield from (schedule for _, schedule in filled)
    yield from lent
    yield from _ruled(known, module, flops)


def _are_good(tiles: Sequence[Tile], target: Target) -> list[bool]:
    """Say of each tile whether it is mostly faster than what is lent.

    Those of vectors and numbers alike are. Those of one vector, with as many numbers as there are registers
    for, are where what is lent is worst: vectors narrower than a register, an image that comes from memory.
    """
    enough = _OF_REGISTERS * vector_registers(target)
    from_memory = any(tile.blocked for tile in tiles)

    def is_good(tile: Tile) -> bool:
        alone = tile.vectors == 1 and tile.numbers >= enough and not tile.blocked
        return tile.share > _GOOD and (tile.both or (alone and (tile.narrow or from_memory)))

    return [is_good(tile) for tile in tiles]


def filled_schedules(
    known: Sequence[tuple[Schedule, Sketch]], module: IRModule, flops: float, target: Target
) -> Iterator[tuple[Tile, Schedule]]:
    """Yield schedules whose tiles fill the registers, with what follows joined to each tile."""
    if target.kind.name != "llvm":
        return
    for space, sketch in sorted(known, key=lambda pair: _last_resort(pair[1], flops))[:1]:
        choices = tuple(_UNROLLED for _ in sketch.choices)
        for tile, tiles in register_tiles(space, sketch, module, target):
            schedule = _applied(space, module, _Decisions(tiles, choices, _own(sketch)))
            if schedule is not None:
                yield tile, schedule


def _last_resort(sketch: Sketch, flops: float) -> tuple[bool, bool, bool, bool]:
    """Order design spaces: those first in which a few decisions go a long way."""
    structure = sketch.structure
    return (
        "RFactor" in structure,
        ("alone" in structure) != (flops < _ALONE),
        "joined" not in structure,
        "joined2" not in structure,
    )


def lent_schedules(
    known: Sequence[tuple[Schedule, Sketch]], module: IRModule, target: Target
) -> Iterator[Schedule]:
    if target.kind.name != "llvm":
        return
    bits = vector_bits(target)
    ranked: list[tuple[float, Entry, Schedule, Sketch]] = []
    for space, sketch in known:
        near = [entry for entry in entries_of(sketch.does) if _alike(entry.sketch, sketch)]
        best = max((entry.rate for entry in near), default=0.0)
        ranked += [(_distance(entry, sketch, best, bits), entry, space, sketch) for entry in near]
    for _, entry, space, sketch in sorted(ranked, key=lambda one: one[0])[:_TRIED]:
        tiles = [
            fitted_tiles(extent, factors)
            for extent, factors in zip(sketch.loops, entry.sketch.tiles, strict=True)
        ]
        own = _own(sketch)
        places = entry.sketch.places if len(entry.sketch.places) == len(sketch.places) else own
        schedule = _applied(space, module, _Decisions(tiles, entry.sketch.choices, places))
        if schedule is None:
            continue
        if "RFactor" in sketch.structure and places != own:
            apart = _applied(space, module, _Decisions(tiles, entry.sketch.choices, own))
            if apart is not None and _flops(schedule) > _REPEATED * _flops(apart):
                continue
        yield schedule


def _flops(schedule: Schedule) -> float:
    return float(tvm.s_tir.analysis.estimate_tir_flops(schedule.mod))


def _own(sketch: Sketch) -> list[int]:
    """Have each block that isn't tiled computed by itself, before what reads it."""
    return [_BY_ITSELF] * len(sketch.places)


def _alike(one: Sketch, other: Sketch) -> bool:
    return one.structure == other.structure and len(one.tiles) == len(other.tiles)


def _distance(entry: Entry, sketch: Sketch, best: float, bits: int) -> float:
    sizes = shrunk = 0.0
    for extent, known, factors in zip(sketch.loops, entry.sketch.loops, entry.sketch.tiles, strict=True):
        sizes += min(abs(math.log2(extent / known)), _FARTHEST)
        fitted = fitted_tiles(extent, factors)
        shrunk += sum(
            math.log2(old / new) for old, new in zip(factors[1:], fitted[1:], strict=True) if new < old
        )
    slower = math.log2(best / entry.rate) if entry.rate else 0.0
    width = 0.0 if entry.vector_bits == bits else _WIDTH
    return _SIZES * sizes + _SHRUNK * shrunk + _SLOWER * slower + width


def _ruled(known: Sequence[tuple[Schedule, Sketch]], module: IRModule, flops: float) -> Iterator[Schedule]:
    """Yield schedules by a rule: whole vectors, as many sums at once as there are registers, all cores."""
    for space, sketch in sorted(known, key=lambda pair: _last_resort(pair[1], flops)):
        decide = _Decisions(_ruled_tiles(sketch), tuple(1 for _ in sketch.choices), _own(sketch))
        schedule = _applied(space, module, decide)
        if schedule is not None:
            yield schedule


def _ruled_tiles(sketch: Sketch) -> list[list[int]]:
    tiles: list[list[int]] = []
    vectors = _VECTORS
    for extent, factors in reversed(list(zip(sketch.loops, sketch.tiles, strict=True))):
        if len(factors) > 2:  # a spatial loop
            inner = fitted_tiles(extent, (1, vectors))[1]
            vectors //= inner
        else:
            inner = fitted_tiles(extent, (1, _SUMMED))[1]
        tiles.append([extent // inner, *[1] * (len(factors) - 2), inner])
    return tiles[::-1]


class _Decisions:
    """Answers the instructions of a trace that ask for a decision, in their order."""

    def __init__(self, tiles: Sequence[Sequence[int]], choices: Sequence[int], places: Sequence[int]) -> None:
        self._left: dict[str, list[Any]] = {
            "SamplePerfectTile": list(tiles),
            "SampleCategorical": list(choices),
            "SampleComputeLocation": list(places),
        }

    def __call__(self, instruction: Any, inputs: Any, attrs: Any, decision: Any) -> Any:
        del inputs, attrs
        left = self._left.get(instruction.kind.name)
        return left.pop(0) if left else decision


def _applied(space: Schedule, module: IRModule, decide: _Decide) -> Schedule | None:
    schedule = Schedule(protected(module), debug_mask="none")
    try:
        # As an evolution does it, so that what it has proposed in another campaign is known again.
        space.trace.simplified(remove_postproc=True).apply_to_schedule(schedule, True, decide)
    except Exception:  # what can't be computed where it is elsewhere, whatever a primitive says to that
        return None
    schedule.enter_postproc()
    return schedule
