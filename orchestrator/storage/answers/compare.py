"""Two campaigns side by side: what each measured of a task, and what was the best when it ended."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Subquery,
    and_,
    case,
    false,
    func,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from orchestrator.storage._group import Group
from orchestrator.storage._tables import (
    Campaign,
    DeviceClass,
    Task,
    Trial,
    Workload,
)
from orchestrator.storage.rows import (
    TaskComparisonRow,
    TaskOfCampaign,
)

__all__ = ["CompareAnswer"]


class CompareAnswer(Group):
    """What changed between two campaigns?"""

    def compare(self, first_id: int, second_id: int) -> list[TaskComparisonRow]:
        """Return the tasks of two campaigns, those that both have first, in the order they were planned."""
        first, second = _tasks_of(first_id, "first"), _tasks_of(second_id, "second")
        pairs = (
            select(Task.workload_id, Task.device_class_id, func.min(Task.id).label("task_id"))
            .where(Task.campaign_id.in_((first_id, second_id)))
            .group_by(Task.workload_id, Task.device_class_id)
            .subquery("pairs")
        )

        def same(side: Subquery) -> Any:
            return and_(
                side.c.workload_id == pairs.c.workload_id, side.c.device_class_id == pairs.c.device_class_id
            )

        both = and_(first.c.id.is_not(None), second.c.id.is_not(None))
        query = (
            select(
                Task.name,
                Workload.hash.label("workload_hash"),
                Workload.flops,
                DeviceClass.name.label("device_class"),
                *(column.label(f"first_{column.key}") for column in first.c),
                *(column.label(f"second_{column.key}") for column in second.c),
            )
            .select_from(pairs)
            .join(Task, Task.id == pairs.c.task_id)
            .join(Workload, Workload.id == pairs.c.workload_id)
            .join(DeviceClass, DeviceClass.id == pairs.c.device_class_id)
            .outerjoin(first, same(first))
            .outerjoin(second, same(second))
            .order_by(case((both, 0), else_=1), pairs.c.task_id)
        )
        return [
            TaskComparisonRow(
                name=row.name,
                workload_hash=row.workload_hash,
                flops=row.flops,
                device_class=row.device_class,
                first=_side(row, "first"),
                second=_side(row, "second"),
            )
            for row in self._database.read(lambda c: c.execute(query).all())
        ]


def _tasks_of(campaign_id: int, name: str) -> Subquery:
    """Select a campaign's tasks with what it measured of each, and the best when it ended."""
    trial = aliased(Trial)
    here = and_(trial.workload_id == Task.workload_id, trial.device_class_id == Task.device_class_id)
    own = trial.campaign_id == campaign_id
    # From the fastest on: the first that was there at the time is it, and those passed over are few.
    fastest = (
        select(trial.cost_s)
        .where(
            here,
            trial.cost_s.is_not(None),
            or_(Campaign.finished_at.is_(None), trial.created_at <= Campaign.finished_at),
        )
        .order_by(trial.cost_s, trial.id)
        .limit(1)
        .correlate(Task, Campaign)
    )
    best = fastest.scalar_subquery()
    best_of = fastest.with_only_columns(trial.toolchain).scalar_subquery()
    count = select(func.count(trial.id)).where(here, own).correlate(Task)
    return (
        select(
            Task.id,
            Task.workload_id,
            Task.device_class_id,
            Task.weight,
            Task.budget,
            count.scalar_subquery().label("measured"),
            count.where(trial.cost_s.is_(None)).scalar_subquery().label("failures"),
            select(func.min(trial.cost_s))
            .where(here, own)
            .correlate(Task)
            .scalar_subquery()
            .label("own_best_s"),
            best.label("best_s"),
            func.coalesce(best_of != DeviceClass.toolchain, false()).label("best_stale"),
        )
        .join(Campaign, Campaign.id == Task.campaign_id)
        .join(DeviceClass, DeviceClass.id == Task.device_class_id)
        .where(Task.campaign_id == campaign_id)
        .subquery(name)
    )


def _side(row: Any, name: str) -> TaskOfCampaign | None:
    if row._mapping[f"{name}_id"] is None:
        return None
    names = TaskOfCampaign.__dataclass_fields__
    found = {key: row._mapping[f"{name}_{key}"] for key in names}
    return TaskOfCampaign(**found | {"best_stale": bool(found["best_stale"])})
