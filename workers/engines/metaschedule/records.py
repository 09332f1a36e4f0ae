"""Candidates as text: MetaSchedule's own JSON of a trace, and back.

A trace finds blocks by name, and a workload in its canonical form has other names than the kernel of a model
it came from; :func:`translated` goes between the two.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from tvm.ir import IRModule
from tvm.s_tir import SBlockRealize, Schedule
from tvm.s_tir.schedule import Trace
from tvm.tirx import IntImm, SeqStmt

from workers.engines.metaschedule.protected import protected
from workers.engines.metaschedule.soundness import require_sound
from workers.engines.metaschedule.tensorized import register_named
from workers.engines.metaschedule.workload import load_module, renamed
from workers.messages import Candidate, Workload

__all__ = [
    "adapted",
    "candidate_of",
    "fitted_tiles",
    "replayed",
    "scheduled",
    "translated",
]


def candidate_of(trace: Trace) -> Candidate:
    """Return the candidate of a trace."""
    # Integers of a trace may be TVM's IntImm and FloatImm, which carry their number as `value`.
    text = json.dumps(trace.as_json(), separators=(",", ":"), default=lambda immediate: immediate.value)
    return Candidate(hash=hashlib.sha256(text.encode()).hexdigest()[:32], trace=text)


def scheduled(workload: Workload, candidate: Candidate) -> Schedule:
    """Apply a candidate to its workload.

    Raises
    ------
    ValueError
        Where the trace is not one of this workload.
    """
    return replayed(load_module(workload.module), json.loads(candidate.trace))


def replayed(module: IRModule, trace: Any) -> Schedule:
    """Apply a trace, as its JSON is read, to a module, which stays what it is: see :func:`.protected`.

    Raises
    ------
    ValueError
        The schedule computes something else.
    """
    register_named(trace[0])
    schedule = Schedule(protected(module))
    Trace.apply_json_to_schedule(trace, schedule)
    require_sound(module, trace[0], schedule)
    return schedule


def adapted(trace: Trace, module: IRModule) -> Schedule:
    """Apply a trace to a workload of the same structure and other sizes.

    Tiles keep their size where the loops can be split so, and get the next smaller one otherwise, the
    outermost loop taking what is left. Everything else is done as there. What TVM appends to a trace at its
    end (vectorizing, unrolling, parallelizing) is left to its postprocessors.

    Raises
    ------
    Exception
        Whatever a schedule primitive raises, where the structure is another.
    ValueError
        A loop isn't a multiple of a number that the trace splits it by.
    """
    schedule = Schedule(protected(module))

    def decide(instruction: Any, inputs: Any, attrs: Any, decision: Any) -> Any:
        if instruction.kind.name != "SamplePerfectTile":
            return decision
        extent = int(schedule.get(inputs[0]).extent)
        return fitted_tiles(extent, [int(factor) for factor in decision], int(attrs[1]))

    trace.apply_to_schedule(schedule, True, decide)
    if _guarded(schedule.mod["main"].body):
        raise ValueError("a loop of other size leaves a rest behind the last whole vector")
    # Who replays it without its end must find where that begins.
    schedule.enter_postproc()
    return schedule


def _guarded(statement: Any) -> bool:
    """Say whether a block runs only under a condition, as it does after a split that leaves a rest."""
    if isinstance(statement, SBlockRealize):
        return not isinstance(statement.predicate, IntImm) or _guarded(statement.block.body)
    parts = statement.seq if isinstance(statement, SeqStmt) else [getattr(statement, "body", None)]
    return any(_guarded(part) for part in parts if part is not None)


def fitted_tiles(extent: int, factors: Sequence[int], innermost: int = 64) -> list[int]:
    """Split a loop into as many as `factors`, the inner ones as large as those where they divide it."""
    left, tiles = extent, []
    for place, factor in enumerate(reversed(factors[1:])):
        most = min(factor, innermost) if place == 0 else factor
        tile = max(size for size in range(1, most + 1) if left % size == 0)
        tiles.append(tile)
        left //= tile
    return [left, *reversed(tiles)]


def translated(trace: Any, names: dict[str, str]) -> Any:
    """Return a trace, as its JSON is read, for a module whose arguments have other names.

    Parameters
    ----------
    names : dict of str to str
        The new name of each argument by the one that the trace knows; see
        :func:`.workload.canonical_names`.
    """
    instructions, decisions = trace
    return [[_translated(instruction, names) for instruction in instructions], decisions]


def _translated(instruction: Any, names: dict[str, str]) -> Any:
    kind, inputs, attrs, outputs = instruction
    if kind == "GetSBlock":  # the only instruction that names a block; all others have variables for them
        attrs = [renamed(attrs[0], names), *attrs[1:]]
    return [kind, inputs, attrs, outputs]
