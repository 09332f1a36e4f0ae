"""Candidates as text: MetaSchedule's own JSON of a trace, and back.

A trace finds blocks by name, and a workload in its canonical form has other names than the kernel of a model
it came from; :func:`translated` goes between the two.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import Trace

from workers.engines.metaschedule.workload import load_module, renamed
from workers.messages import Candidate, Workload

__all__ = ["candidate_of", "replayed", "scheduled", "translated"]


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
    """Apply a trace, as its JSON is read, to a module."""
    schedule = Schedule(module)
    Trace.apply_json_to_schedule(trace, schedule)
    return schedule


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
