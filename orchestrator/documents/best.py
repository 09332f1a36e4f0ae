"""The best of every workload that is stored, and of tasks with their schedules, as documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.documents.text import gflops, instant
from orchestrator.documents.trials import trial_document

if TYPE_CHECKING:
    from orchestrator.storage import BestRow, MeasurementRow, TrialRow

__all__ = ["BestTask", "first_of_each_class", "stored_best_document", "task_best_document"]


@dataclass(frozen=True)
class BestTask:
    """A task, or a workload of no model in particular, whose `weight` is None; and its fastest trials.

    Attributes
    ----------
    level_with : int or None
        The trial that comes after the first and is level with it.
    """

    name: str
    workload_hash: str
    weight: int | None
    flops: float
    best: Sequence[TrialRow]
    level_with: int | None = None


def first_of_each_class(trials: Sequence[TrialRow], top: int) -> list[TrialRow]:
    """Leave out of each device class what was only asked for to know what comes next."""
    classes = dict.fromkeys(trial.device_class for trial in trials)
    return [one for name in classes for one in [t for t in trials if t.device_class == name][:top]]


def stored_best_document(rows: Sequence[BestRow], *, more: bool) -> dict[str, Any]:
    """The best of each workload on each device class."""
    return {
        "best": [
            {
                "name": row.name,
                "workload_hash": row.workload_hash,
                "engine": row.engine,
                "device_class": row.device_class,
                "flops": row.flops,
                "trials": row.trials,
                "failures": row.failures,
                "best_s": row.best_s,
                "gflops": gflops(row.flops, row.best_s),
                "stale": row.stale,
                "trial_id": row.trial_id,
                "campaign_id": row.campaign_id,
                "recorded_at": instant(row.recorded_at),
            }
            for row in rows
        ],
        "more": more,
    }


def task_best_document(
    tasks: Sequence[BestTask],
    measured: Mapping[int, Sequence[MeasurementRow]],
    schedules: Mapping[int, str],
) -> dict[str, Any]:
    """The best of each task; with all measurements, and with schedules as text, by the trials' ids."""
    return {
        "tasks": [
            {
                "name": task.name,
                "workload_hash": task.workload_hash,
                "weight": task.weight,
                "flops": task.flops,
                "level_with": task.level_with,
                "best": [
                    trial_document(
                        trial, measured.get(trial.id, ()), schedule=schedules.get(trial.id), traced=True
                    )
                    for trial in task.best
                ],
            }
            for task in tasks
        ]
    }
