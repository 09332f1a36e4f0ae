"""How the best time of a workload went down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, Subquery, case, func, or_, select

from orchestrator.storage._models import Trial, Workload
from orchestrator.storage.rows import ImprovementRow

__all__ = ["improvements_of", "in_time"]


def improvements_of(tasks: Subquery, class_id: int, last: int | None) -> Select[Any]:
    """Select the trials that bettered one of `tasks` (workload_id, name, weight) on a device class.

    Trial ids grow with time. All that is read of the trials that improved nothing is in the index.
    """
    seen = (
        select(
            Trial.id,
            Trial.cost_s,
            tasks.c.name,
            tasks.c.weight,
            func.row_number().over(order_by=Trial.id).label("trials"),
            func.min(Trial.cost_s)
            .over(partition_by=Trial.workload_id, order_by=Trial.id, rows=(None, -1))
            .label("before_s"),
        )
        .join(tasks, tasks.c.workload_id == Trial.workload_id)
        .where(Trial.device_class_id == class_id)
        .subquery("seen")
    )
    gain = (seen.c.cost_s - func.coalesce(seen.c.before_s, 0.0)) * seen.c.weight
    first = case((seen.c.before_s.is_(None), 1), else_=0)
    return (
        select(
            seen.c.id.label("trial_id"),
            Workload.hash.label("workload_hash"),
            seen.c.name,
            seen.c.weight,
            seen.c.cost_s,
            seen.c.before_s,
            Trial.campaign_id,
            Trial.created_at.label("recorded_at"),
            seen.c.trials,
            func.sum(gain).over(order_by=seen.c.id, rows=(None, 0)).label("expected_s"),
            func.sum(first).over(order_by=seen.c.id, rows=(None, 0)).label("tasks_timed"),
        )
        .join(Trial, Trial.id == seen.c.id)
        .join(Workload, Workload.id == Trial.workload_id)
        .where(
            seen.c.cost_s.is_not(None),
            or_(seen.c.before_s.is_(None), seen.c.cost_s < seen.c.before_s),
        )
        .order_by(seen.c.id.desc())
        .limit(last)
    )


def in_time(rows: Sequence[Any]) -> list[ImprovementRow]:
    return [ImprovementRow(**row._mapping) for row in reversed(rows)]
