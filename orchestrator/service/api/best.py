"""The best trials of tasks as the document of `tunefleet best`, with their schedules where wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query

from orchestrator.documents.best import BestTask, task_best_document
from orchestrator.documents.schema import titled
from orchestrator.service.parts import Parts
from orchestrator.service.schedules import schedule_texts

__all__ = ["Schedules", "Top", "best_document"]

Top = Annotated[int, Query(ge=1, le=100, description="So many of each task, the fastest first.")]
Schedules = Annotated[bool, Query(description="Write them as text, for which their engine is started.")]


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
    return titled("best", task_best_document(tasks, measured, texts))
