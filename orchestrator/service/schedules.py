"""Schedules as text: written by their engine, in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.service.parts import Parts, one_of_few
from orchestrator.storage import TrialRow
from orchestrator.toolbox import Toolbox
from workers.messages import Candidate

__all__ = ["schedule_text", "schedule_texts"]


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
        return dict(_described(parts, [parts.store.trials.get(trial_id)]))[trial_id]

    # A schedule never changes; an engine takes a second or two to start.
    return parts.recent.get(("schedule", trial_id), read, seconds=3600.0)


def schedule_texts(parts: Parts, trials: Sequence[TrialRow]) -> dict[int, str]:
    """Return the schedules of trials that were read with their traces, by their numbers; see above."""
    ids = tuple(trial.id for trial in trials)
    return parts.recent.get(("schedules", ids), lambda: dict(_described(parts, trials)), seconds=3600.0)


def _described(parts: Parts, trials: Sequence[TrialRow]) -> Iterator[tuple[int, str]]:
    """Have each engine write the schedules that are its own, one process for all of them."""
    workloads = {trial.workload_hash: parts.store.workloads.get(trial.workload_hash) for trial in trials}
    for engine in dict.fromkeys(workload.engine for workload in workloads.values()):
        with one_of_few(parts), Toolbox(engine) as tools:
            for trial in trials:
                workload = workloads[trial.workload_hash]
                if workload.engine == engine:
                    assert trial.trace is not None
                    yield trial.id, tools.describe(workload, Candidate(trial.candidate, trial.trace))
