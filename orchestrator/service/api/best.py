"""The best trials of tasks as the document of `tunefleet best`, with their schedules where wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query

from orchestrator.documents.schema import titled
from orchestrator.documents.trials import trial_document
from orchestrator.service.parts import Parts
from orchestrator.service.schedules import schedule_texts
from orchestrator.storage import TrialRow

__all__ = ["BestTask", "Schedules", "Top", "best_document"]

Top = Annotated[int, Query(ge=1, le=100, description="So many of each task, the fastest first.")]
Schedules = Annotated[bool, Query(description="Write them as text, for which their engine is started.")]


@dataclass(frozen=True)
class BestTask:
    """A task, or a workload of no model in particular, whose `weight` is None; and its fastest trials."""

    name: str
    workload_hash: str
    weight: int | None
    flops: float
    best: tuple[TrialRow, ...]


def best_document(parts: Parts, tasks: Sequence[BestTask], schedules: bool) -> dict[str, Any]:
    """Return the document; every trial in it has its trace.

    Raises
    ------
    EngineError
        Schedules are wanted, and their engine isn't there.
    """
    trials = [trial for task in tasks for trial in task.best]
    texts = schedule_texts(parts, trials) if schedules else {}
    measured = parts.store.measurements.of_trials([trial.id for trial in trials])
    return titled(
        "best",
        {
            "tasks": [
                {
                    "name": task.name,
                    "workload_hash": task.workload_hash,
                    "weight": task.weight,
                    "flops": task.flops,
                    "best": [
                        trial_document(
                            trial, measured.get(trial.id, ()), schedule=texts.get(trial.id), traced=True
                        )
                        for trial in task.best
                    ],
                }
                for task in tasks
            ]
        },
    )
