"""Where the time of a model goes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Double, Select, and_, case, func, select

from orchestrator.storage._models import ModelTask, Trial, Workload

__all__ = ["shares_of"]


def shares_of(extraction_id: int, class_id: int, limit: int | None) -> Select[Any]:
    """Select a model's tasks, the slowest first, each with its part of the sum of all."""
    here = and_(Trial.workload_id == ModelTask.workload_id, Trial.device_class_id == class_id)
    best_id = (
        select(Trial.id)
        .where(here, Trial.cost_s.is_not(None))
        .order_by(Trial.cost_s, Trial.id)
        .limit(1)
        .correlate(ModelTask)
        .scalar_subquery()
    )
    stored = select(func.count(Trial.id)).where(here).correlate(ModelTask).scalar_subquery()
    tasks = (
        select(
            ModelTask.position,
            ModelTask.name,
            ModelTask.weight,
            ModelTask.workload_id,
            stored.label("trials"),
            best_id.label("best_id"),
        )
        .where(ModelTask.extraction_id == extraction_id)
        .subquery("tasks")
    )
    expected = Trial.cost_s * tasks.c.weight
    # Databases differ in where NULLs are sorted.
    order = (func.coalesce(expected, -1.0).desc(), tasks.c.position)
    # A model may consist of kernels too fast to time.
    whole = func.nullif(func.sum(expected).over(), 0.0, type_=Double)
    return (
        select(
            tasks.c.name,
            Workload.hash.label("workload_hash"),
            tasks.c.weight,
            Workload.flops,
            tasks.c.trials,
            Trial.cost_s.label("best_s"),
            Trial.id.label("trial_id"),
            Trial.created_at.label("recorded_at"),
            expected.label("expected_s"),
            (expected / whole).label("share"),
            case(
                (Trial.id.is_not(None), func.sum(expected).over(order_by=order, rows=(None, 0)) / whole)
            ).label("cumulative"),
            func.count().over().label("tasks_total"),
            func.count(Trial.id).over().label("tasks_timed"),
            whole.label("whole_s"),
        )
        .select_from(tasks)
        .join(Workload, Workload.id == tasks.c.workload_id)
        .outerjoin(Trial, Trial.id == tasks.c.best_id)
        .order_by(*order)
        .limit(limit)
    )
