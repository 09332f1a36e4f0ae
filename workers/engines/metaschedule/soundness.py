"""What TVM's schedules get wrong, found in a module or a trace before anything is computed with it.

Each of these gave a kernel that computes something else than it did before it was scheduled. Who would use
such a trace, or propose it, asks here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import tvm_ffi
from tvm import relax
from tvm.ir import IRModule
from tvm.s_tir import SBlock, Schedule
from tvm.s_tir import meta_schedule as ms

__all__ = ["finished", "joins_tiles", "keeps_constants", "pads_a_result", "require_sound"]

_JOINS = "ReverseComputeAt"


def finished(schedule: Schedule, context: ms.TuneContext) -> bool:
    """Have TVM's postprocessors finish a schedule; False where it breaks the target's limits or is wrong."""
    try:
        done = all(post.apply(schedule) for post in context.space_generator.postprocs)
    except Exception:
        # Of one that fails at a kernel, as the one for layouts does at a scatter whose indices are turned.
        return False
    return done and keeps_constants(schedule)


def require_sound(module: IRModule, instructions: Iterable[Any], schedule: Schedule) -> None:
    """Refuse a schedule that computes something else.

    Parameters
    ----------
    module : IRModule
        The kernel before it.
    instructions : iterable
        Of the trace, as its JSON is read.

    Raises
    ------
    ValueError
    """
    if joins_tiles(instructions) and pads_a_result(module):
        raise ValueError("it pads a result tile by tile, and what lies beyond the last tile is never written")
    if not keeps_constants(schedule):
        raise ValueError("the layout that it gives a constant has no place for all of its elements")


def joins_tiles(instructions: Iterable[Any]) -> bool:
    """Say whether a trace computes what follows within the tiles of what it reads."""
    return any(instruction[0] == _JOINS for instruction in instructions)


def pads_a_result(module: IRModule) -> bool:
    """Say whether a kernel pads something that it has computed.

    Joined to the tiles of that, TVM lets a padding loop over as much as the tiles have, which is less than
    the padding writes.
    """
    blocks: list[SBlock] = []
    tvm_ffi.structural_walk(module["main"].body, (SBlock, blocks.append))
    blocks = [block for block in blocks if len(block.writes)]
    made = [block.writes[0].source for block in blocks]
    for block in blocks:
        written = block.writes[0].source
        read = [one.source for one in block.reads]
        grows = any(_size(written) > _size(one) for one in read if any(one.same_as(other) for other in made))
        if grows and _has_condition(block):
            return True
    return False


def _has_condition(block: SBlock) -> bool:
    found = False

    def look(call: Any) -> None:
        nonlocal found
        found |= getattr(call.op, "name", "").endswith("if_then_else")

    tvm_ffi.structural_walk(block.body, (relax.Call, look))
    return found


def keeps_constants(schedule: Schedule) -> bool:
    """Say whether constants that are laid out anew are there in whole.

    TVM takes the new layout from one of the places at which a block reads a constant. Where it reads it at
    several, as a gather reads the parts of an index, elements of the others may have no place in it.
    """
    kept = True

    def look(block: SBlock) -> None:
        nonlocal kept
        if "meta_schedule.layout_rewrite_preproc" in block.annotations:
            read, written = block.reads[0].source, block.writes[0].source
            kept &= _size(written) >= _size(read)

    tvm_ffi.structural_walk(schedule.mod["main"].body, (SBlock, look))
    return kept


def _size(buffer: Any) -> int:
    return math.prod(int(extent) for extent in buffer.shape)
