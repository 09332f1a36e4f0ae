"""Where a model's time goes, as a document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.documents.text import gflops, instant

if TYPE_CHECKING:
    from orchestrator.storage import ModelShares

__all__ = ["slowest_document"]


def slowest_document(name: str, device_class: str, shares: ModelShares) -> dict[str, Any]:
    """Where a model's time goes."""
    return {
        "model": name,
        "device_class": device_class,
        "tasks_total": shares.tasks_total,
        "tasks_timed": shares.tasks_timed,
        "tasks_stale": shares.tasks_stale,
        "expected_s": shares.expected_s,
        "tasks": [
            {
                "name": task.name,
                "workload_hash": task.workload_hash,
                "weight": task.weight,
                "flops": task.flops,
                "trials": task.trials,
                "best_s": task.best_s,
                "stale": task.stale,
                "expected_s": task.expected_s,
                "share": task.share,
                "cumulative": task.cumulative,
                "gflops": gflops(task.flops, task.best_s),
                "trial_id": task.trial_id,
                "recorded_at": instant(task.recorded_at),
            }
            for task in shares.tasks
        ],
    }
