"""Candidates as text: MetaSchedule's own JSON of a trace, and back."""

from __future__ import annotations

import hashlib
import json

import tvm
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import Trace

from workers.engines.metaschedule.workload import load_module
from workers.messages import Candidate, Workload

__all__ = ["candidate_of", "scheduled"]


def candidate_of(trace: Trace) -> Candidate:
    """Return the candidate of a trace."""
    # Integers of a trace may be TVM's IntImm and FloatImm, which carry their number as `value`.
    text = json.dumps(trace.as_json(), separators=(",", ":"), default=lambda immediate: immediate.value)
    return Candidate(hash=hashlib.sha256(text.encode()).hexdigest()[:32], trace=text)


def scheduled(workload: Workload, candidate: Candidate, target: tvm.target.Target | None = None) -> Schedule:
    """Apply a candidate to its workload.

    Raises
    ------
    ValueError
        Where the trace is not one of this workload.
    """
    schedule = Schedule(load_module(workload.module))
    Trace.apply_json_to_schedule(json.loads(candidate.trace), schedule)
    return schedule
