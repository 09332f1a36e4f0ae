"""The best of every workload that is stored, and of a model's tasks, as documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.documents.text import gflops, instant
from orchestrator.documents.trials import trial_document

if TYPE_CHECKING:
    from orchestrator.storage import BestRow, MeasurementRow, ModelTaskRow

__all__ = ["stored_best_document", "task_best_document"]


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
    rows: Sequence[ModelTaskRow],
    measured: Mapping[int, Sequence[MeasurementRow]],
    level: Mapping[str, int | None],
) -> dict[str, Any]:
    """The best of each task of a model, without schedules, which its engine writes.

    Parameters
    ----------
    level : mapping of str to int or None
        By a task's workload, the trial that its best is level with.
    """
    return {
        "tasks": [
            {
                "name": row.name,
                "workload_hash": row.workload_hash,
                "weight": row.weight,
                "flops": row.flops,
                "level_with": level.get(row.workload_hash),
                "best": []
                if row.best is None
                else [trial_document(row.best, measured.get(row.best.id, ()), traced=True)],
            }
            for row in rows
        ]
    }
