"""Design spaces for CPUs: innermost loops that fill vectors, and no threads where these cost more.

MetaSchedule splits every loop of a tiled block at random, the one along the output's contiguous axis too, and
makes a vector of what is innermost then. Of a block of 16 channels one split in 35 leaves all 16 there; the
others compute with vectors of 1 to 8 floats. Here that part of the axis is split off first, and what is left
of it is tiled as before.

And it runs every kernel on all cores, however little there is to do. To give others their part and to wait
for it takes microseconds, in which a core does a small kernel alone. For those the same spaces are there a
second time, without threads; which is faster the measurements tell.
"""

from __future__ import annotations

import json
import math
from typing import Any

from tvm import DataType
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.schedule import Trace
from tvm.target import Target

from workers.engines.metaschedule.protected import protected
from workers.engines.metaschedule.records import candidate_of
from workers.engines.metaschedule.rowwise import by_rows
from workers.engines.metaschedule.soundness import joins_tiles, pads_a_result
from workers.engines.metaschedule.targets import vector_bits

__all__ = ["cpu_spaces", "tensorized_with", "tiled_blocks", "with_whole_vectors"]

# Elements that threads of a GPU move at once, as MetaSchedule has them.
_UNEVEN_VECTORS = [1, 2, 3, 4]
# What MetaSchedule does on CPUs: two levels of tiles around a reduction, two within.
_STRUCTURE = "SSRSRS"
# Vectors of fewer elements than these gain nothing over what is sampled.
_FEWEST = 4
_VECTORIZED = ["meta_schedule.vectorize"]
# One core does so many operations, or reads and writes so many bytes, while the others would be waited for;
# generously, for it is measured.
_ALONE_FLOPS, _ALONE_BYTES = 500e3, 500e3

# An instruction of a trace as TVM writes it in JSON (kind, inputs, attributes, outputs), and its decision.
_Line = tuple[Any, Any]


def cpu_spaces(spaces: list[Schedule], module: IRModule, flops: float, target: Target) -> list[Schedule]:
    """Return the design spaces to search, made of those that MetaSchedule generates of `module`.

    Parameters
    ----------
    flops : float
        Operations of one call.

    Returns
    -------
    list of Schedule
        On targets that aren't CPUs, what was given; but for those whose schedules are wrong, everywhere, and
        for vectors of three on GPUs.
    """
    if pads_a_result(module):
        spaces = [space for space in spaces if not joins_tiles(line for line, _ in _lines(space))]
    if target.kind.name != "llvm":
        return [_in_even_vectors(space, module) for space in spaces]
    spaces = with_whole_vectors(spaces, module, target)
    rows = by_rows(module, target)
    if rows is not None:
        spaces.append(rows)
    moved = sum(
        math.prod(int(extent) for extent in tensor.shape) * DataType(str(tensor.dtype)).bits / 8
        for tensor in ms.arg_info.ArgInfo.from_entry_func(module, remove_preproc=True)
    )
    if flops > _ALONE_FLOPS or moved > _ALONE_BYTES:
        return spaces
    return spaces + [_without_threads(space, module) for space in spaces]


def _in_even_vectors(space: Schedule, module: IRModule) -> Schedule:
    """Leave out vectors of three elements, which no GPU loads, and which don't compile of float16."""
    lines, changed = _lines(space), False
    for place, ((kind, inputs, attrs, outputs), _) in enumerate(lines):
        if kind == "SampleCategorical" and attrs[0] == _UNEVEN_VECTORS:
            kept = [length for length in _UNEVEN_VECTORS if length != 3]
            lines[place] = ([kind, inputs, [kept, [1 / len(kept)] * len(kept)], outputs], 0)
            changed = True
    return _applied(lines, module) if changed else space


def with_whole_vectors(spaces: list[Schedule], module: IRModule, target: Target) -> list[Schedule]:
    """Return the same design spaces with the contiguous axis of each tiled output in whole vectors.

    Returns
    -------
    list of Schedule
        A space stays what it was where it has no such tiles, where it is tensorized, and where the axis isn't
        a multiple of 4 elements or more.
    """
    bits = vector_bits(target)
    return [_in_vectors(space, module, bits) for space in spaces]


def _in_vectors(space: Schedule, module: IRModule, bits: int) -> Schedule:
    lines = _lines(space)
    instructions = [instruction for instruction, _ in lines]
    if any(kind == "Tensorize" or _tensorizes(kind, attrs) for kind, _, attrs, _ in instructions):
        return _held_together(space, lines, module)
    blocks = _tiled(instructions)
    axes = [axis for block in blocks if (axis := _contiguous_axis(block, instructions, module, bits))]
    if not axes:
        return space
    for loop, factors, _ in axes:
        lines = _split_first(lines, loop, factors)
    return _applied(_vectors_of(lines, max(lanes for _, _, lanes in axes)), module)


def tiled_blocks(space: Schedule) -> list[tuple[str, str]]:
    """Return the blocks of a module that a space tiles on two levels around a reduction: name and function.

    Not those that the space itself makes.
    """
    instructions = [instruction for instruction, _ in _lines(space)]
    named = (_names(block, instructions) for block in _tiled(instructions))
    return [(str(names[0][0]), str(names[0][1])) for names in named if names]


def tensorized_with(space: Schedule) -> str:
    """Return the intrinsic that a space puts in the place of a block; empty where it has none."""
    found = (line[1][1] for line, _ in _lines(space) if _tensorizes(line[0], line[2]))
    return next(found, "").strip('"')


def _tiled(instructions: list[Any]) -> list[str]:
    return [inputs[0] for kind, inputs, attrs, _ in instructions if _tiles(kind, inputs, attrs)]


def _names(block: str, instructions: list[Any]) -> list[Any]:
    return [attrs for kind, _, attrs, outputs in instructions if kind == "GetSBlock" and outputs == [block]]


def _without_threads(space: Schedule, module: IRModule) -> Schedule:
    kept = [
        line
        for line in _lines(space)
        if line[0][0] != "Parallel" and line[0][2] != ["meta_schedule.parallel"]
    ]
    return _applied(kept, module)


def _lines(space: Schedule) -> list[_Line]:
    instructions, decisions = json.loads(candidate_of(space.trace).trace)
    decided = dict(decisions)
    return [(instruction, decided.get(place)) for place, instruction in enumerate(instructions)]


def _applied(lines: list[_Line], module: IRModule) -> Schedule:
    decisions = [[place, decision] for place, (_, decision) in enumerate(lines) if decision is not None]
    schedule = Schedule(protected(module), debug_mask="none")
    Trace.apply_json_to_schedule([[instruction for instruction, _ in lines], decisions], schedule)
    return schedule


def _tiles(kind: str, inputs: list[Any], attrs: list[Any]) -> bool:
    return (
        kind == "Annotate" and attrs == ["meta_schedule.tiling_structure"] and inputs[1] == f'"{_STRUCTURE}"'
    )


def _contiguous_axis(
    block: str, instructions: list[Any], module: IRModule, bits: int
) -> tuple[str, list[int | None], int] | None:
    """Return the loop over a block's last output axis, by what to split it, and what fills a vector."""
    named = _names(block, instructions)
    taken = [outputs for kind, inputs, _, outputs in instructions if kind == "GetLoops" and inputs == [block]]
    if not named or not taken:
        return None  # a block that the space itself makes
    (name, function), loops = named[0], taken[0]
    schedule = Schedule(module, debug_mask="none")
    body = schedule.get(schedule.get_sblock(name, func_name=function))
    if len(loops) != len(body.iter_vars):
        return None
    written = body.writes[0]
    last = written.region[len(written.region) - 1].min
    for loop, variable in zip(loops, body.iter_vars, strict=True):
        if variable.var.same_as(last):
            extent = int(variable.dom.extent)
            lanes = bits // DataType(written.source.dtype).bits
            vector = _whole(extent, lanes)
            if vector == 0:
                return None
            # The one that is not said is what remains, on other sizes too: such a schedule may be lent.
            return loop, [1, None] if vector == extent else [None, vector], lanes
    return None


def _whole(extent: int, most: int) -> int:
    """Return how many elements of an axis to keep together: 0 where none are."""
    while most >= _FEWEST and extent % most:
        most //= 2
    return most if most >= _FEWEST else 0


def _tensorizes(kind: str, attrs: list[Any]) -> bool:
    return kind == "Annotate" and attrs == ["meta_schedule.auto_tensorize"]


def _held_together(space: Schedule, lines: list[_Line], module: IRModule) -> Schedule:
    """Put a loop of one step around what an instruction computes.

    The innermost loop over a block is made a vector, also where the block is one of vectors itself, as a
    product's columns are, which TVM can't compile. That loop is in the way.
    """
    blocks = {inputs[0] for (kind, inputs, attrs, _), _ in lines if _tensorizes(kind, attrs)}
    # All loops are in their places, and the block is there: it may be all there is of a kernel.
    placed = (
        place
        for place, (line, _) in enumerate(lines)
        if line[0] == "Reorder" or _tensorizes(line[0], line[2])
    )
    last = max(placed, default=-1)
    ones: list[_Line] = [(["AddUnitLoop", [block], [], [f"{block}_one"]], None) for block in sorted(blocks)]
    return _applied([*lines[: last + 1], *ones, *lines[last + 1 :]], module)


def _vectors_of(lines: list[_Line], elements: int) -> list[_Line]:
    """Have no more elements of a loop computed at once.

    TVM joins inner loops to vectors of up to 64. LLVM takes those apart into the machine's, but three of
    these are a number that it rounds up to four, in every step.
    """
    return [
        ([kind, [inputs[0], elements], attrs, outputs] if attrs == _VECTORIZED else line, decision)
        for line, decision in lines
        for kind, inputs, attrs, outputs in [line]
    ]


def _split_first(lines: list[_Line], axis: str, factors: list[int | None]) -> list[_Line]:
    """Split a loop before it is tiled, tile its outer part, and put the inner one innermost."""
    outer, inner = f"{axis}_outer", f"{axis}_vector"
    changed: list[_Line] = []
    last = ""
    for (kind, inputs, attrs, outputs), decision in lines:
        if inputs[:1] == [axis] and kind == "SamplePerfectTile":
            changed.append((["Split", [axis, *factors], [True, False], [outer, inner]], None))
            inputs, decision = [outer], None
        elif inputs[:1] == [axis] and kind == "Split":
            inputs, last = [outer, *inputs[1:]], outputs[-1]
        elif kind == "Reorder" and last in inputs:
            place = inputs.index(last) + 1
            inputs = [*inputs[:place], inner, *inputs[place:]]
        changed.append(([kind, inputs, attrs, outputs], decision))
    return changed
