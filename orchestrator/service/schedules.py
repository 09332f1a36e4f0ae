"""Schedules as text: written by their engine, in a process of its own."""

from __future__ import annotations

from orchestrator.service.parts import Parts, one_of_few
from orchestrator.toolbox import Toolbox
from workers.messages import Candidate

__all__ = ["schedule_text"]


def schedule_text(parts: Parts, trial_id: int) -> str:
    """Return the schedule of a trial; an engine process is started for it, and ends with it.

    Raises
    ------
    NotFoundError
        There is no such trial.
    EngineError
        The engine isn't there, or refused.
    """

    def read() -> str:
        trial = parts.store.trials.get(trial_id)
        assert trial.trace is not None
        workload = parts.store.workloads.get(trial.workload_hash)
        with one_of_few(parts), Toolbox(workload.engine) as tools:
            return tools.describe(workload, Candidate(trial.candidate, trial.trace))

    # A schedule never changes; an engine takes a second or two to start.
    return parts.recent.get(("schedule", trial_id), read, seconds=3600.0)
