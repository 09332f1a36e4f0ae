"""How the best of a model or a workload went down, as a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.documents.text import instant

if TYPE_CHECKING:
    from orchestrator.storage import ImprovementRow

__all__ = ["history_document"]


def history_document(
    name: str, device_class: str, total: int, points: Sequence[ImprovementRow], *, flops: float | None = None
) -> dict[str, Any]:
    """How the best of a model went down; or of a workload, whose one call takes so many operations."""
    of_model = flops is None
    return {
        "model": name if of_model else None,
        "workload_hash": None if of_model else points[0].workload_hash,
        "flops": flops,
        "device_class": device_class,
        "tasks_total": total,
        "improvements": [
            {
                "recorded_at": instant(point.recorded_at),
                "trials": point.trials,
                "expected_s": point.expected_s,
                "tasks_timed": point.tasks_timed,
                "task": point.name,
                "workload_hash": point.workload_hash,
                "weight": point.weight,
                "cost_s": point.cost_s,
                "before_s": point.before_s,
                "trial_id": point.trial_id,
                "campaign_id": point.campaign_id,
            }
            for point in points
        ],
    }
