"""The tasks of a campaign, and their progress as the trials tell it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    case,
    func,
    select,
    update,
)

from orchestrator.errors import NotFoundError
from orchestrator.storage._campaign_rows import (
    require_lease,
)
from orchestrator.storage._group import Group
from orchestrator.storage._ids import (
    device_class_ids,
    storable,
    workload_ids,
)
from orchestrator.storage._tables import (
    DeviceClass,
    Task,
    Trial,
    Workload,
)
from orchestrator.storage._types import insert_unless_there
from orchestrator.storage.rows import (
    CampaignTaskRow,
    NewTask,
    TaskStanding,
    TaskState,
)

__all__ = ["Tasks"]

#: Hashes in one IN clause: below SQLite's limit of bound variables in any build of it.
IN_CLAUSE = 500


class Tasks(Group):
    """Tasks of campaigns. Written by the campaign's owner; read by anyone."""

    def put(self, campaign_id: int, tasks: Sequence[NewTask], *, owner: str | None = None) -> int:
        """Store a campaign's plan and return how many of its tasks are new.

        A task that is there already stays as it is, so that planning again after a restart keeps
        ``stored_before`` and the states reached.

        Raises
        ------
        NotFoundError
            A workload or device class isn't stored.
        LeaseLostError
            ``owner`` is given and doesn't hold the lease.
        """
        table: Any = Task.__table__

        def work(connection: Connection) -> int:
            if owner is not None:
                require_lease(connection, campaign_id, owner)
            if not tasks:
                return 0
            workloads = workload_ids(connection, (task.workload_hash for task in tasks))
            classes = device_class_ids(connection, (task.device_class for task in tasks))
            statement = insert_unless_there(
                table, connection.dialect.name, ("campaign_id", "workload_id", "device_class_id")
            ).returning(table.c.id)
            rows = [
                {
                    "campaign_id": campaign_id,
                    "workload_id": workloads[task.workload_hash],
                    "device_class_id": classes[task.device_class],
                    "name": storable(task.name),
                    "weight": task.weight,
                    "budget": task.budget,
                    "stored_before": task.stored_before,
                    "state": task.state.value,
                    "note": storable(task.note),
                }
                for task in tasks
            ]
            return len(connection.execute(statement, rows).all())

        return self._database.write(work)

    def update(
        self,
        task_id: int,
        *,
        state: TaskState | None = None,
        note: str | None = None,
        budget: int | None = None,
    ) -> None:
        """Change what is given of a task; :class:`NotFoundError` where there is none of that id."""
        values: dict[str, Any] = {}
        if state is not None:
            values["state"] = state.value
        if note is not None:
            values["note"] = storable(note)
        if budget is not None:
            values["budget"] = budget
        if not values:
            return

        def work(connection: Connection) -> None:
            if connection.execute(update(Task).where(Task.id == task_id).values(**values)).rowcount == 0:
                raise NotFoundError(f"there is no task {task_id}")

        self._database.write(work)

    def of_campaign(self, campaign_id: int) -> list[CampaignTaskRow]:
        """Return a campaign's tasks with their progress, in the order they were planned."""
        # Trials that were measured without any campaign have none to compare: not NULL but no.
        ours = case((Trial.campaign_id == Task.campaign_id, 1), else_=0)
        failed = case((Trial.id.is_not(None) & Trial.cost_s.is_(None), 1), else_=0)
        counted = (
            select(
                Task.id,
                func.count(Trial.id).label("stored"),
                func.sum(failed).label("stored_failures"),
                func.sum(ours).label("measured"),
                func.sum(ours * failed).label("measured_failures"),
            )
            .outerjoin(
                Trial,
                (Trial.workload_id == Task.workload_id) & (Trial.device_class_id == Task.device_class_id),
            )
            .where(Task.campaign_id == campaign_id)
            .group_by(Task.id)
            .subquery("counted")
        )
        best_id = (
            select(Trial.id)
            .where(
                Trial.workload_id == Task.workload_id,
                Trial.device_class_id == Task.device_class_id,
                Trial.cost_s.is_not(None),
            )
            .order_by(Trial.cost_s, Trial.id)
            .limit(1)
            .correlate(Task)
            .scalar_subquery()
        )
        best = (
            select(Task.id, best_id.label("trial_id")).where(Task.campaign_id == campaign_id).subquery("best")
        )
        query = (
            select(
                Task.id,
                Task.campaign_id,
                Workload.hash.label("workload_hash"),
                Workload.name.label("workload_name"),
                Workload.flops,
                DeviceClass.name.label("device_class"),
                Task.name,
                Task.weight,
                Task.budget,
                Task.stored_before,
                Task.state,
                Task.note,
                counted.c.stored,
                counted.c.stored_failures,
                counted.c.measured,
                counted.c.measured_failures,
                Trial.cost_s.label("best_s"),
                Trial.id.label("best_trial_id"),
                Trial.created_at.label("best_at"),
            )
            .join(Workload, Workload.id == Task.workload_id)
            .join(DeviceClass, DeviceClass.id == Task.device_class_id)
            .join(counted, counted.c.id == Task.id)
            .join(best, best.c.id == Task.id)
            .outerjoin(Trial, Trial.id == best.c.trial_id)
            .where(Task.campaign_id == campaign_id)
            .order_by(Task.id)
        )
        return [_task_row(row) for row in self._database.read(lambda c: c.execute(query).all())]

    def standings(self, pairs: Sequence[tuple[str, str]]) -> list[TaskStanding]:
        """Return what is stored for each pair of workload hash and device class, in their order."""
        found: dict[tuple[str, str], TaskStanding] = {}
        wanted = sorted({workload for workload, _ in pairs})
        for start in range(0, len(wanted), IN_CLAUSE):
            query = _standings(wanted[start : start + IN_CLAUSE], sorted({name for _, name in pairs}))
            for row in self._database.read(functools.partial(_rows, query)):
                found[row.hash, row.name] = TaskStanding(row.stored, row.since_best, bool(row.exhausted))
        return [found.get(pair, TaskStanding()) for pair in pairs]


def _rows(query: Any, connection: Connection) -> Sequence[Any]:
    return connection.execute(query).all()


def _standings(workloads: Sequence[str], classes: Sequence[str]) -> Any:
    """Count a workload's trials on a device class and those after its best; see if a search ended it."""

    def of_pair(table: Any) -> Any:
        return (table.workload_id == Workload.id) & (table.device_class_id == DeviceClass.id)

    best_id = (
        select(Trial.id)
        .where(of_pair(Trial), Trial.cost_s.is_not(None))
        .order_by(Trial.cost_s, Trial.id)
        .limit(1)
        .correlate(Workload, DeviceClass)
        .scalar_subquery()
    )
    stored = select(func.count(Trial.id)).where(of_pair(Trial)).correlate(Workload, DeviceClass)
    exhausted = select(func.count(Task.id)).where(of_pair(Task), Task.state == TaskState.EXHAUSTED.value)
    return (
        select(
            Workload.hash,
            DeviceClass.name,
            stored.scalar_subquery().label("stored"),
            # Trial ids grow with time.
            stored.where(Trial.id > func.coalesce(best_id, 0)).scalar_subquery().label("since_best"),
            exhausted.correlate(Workload, DeviceClass).scalar_subquery().label("exhausted"),
        )
        .select_from(Workload)
        .join(DeviceClass, DeviceClass.name.in_(classes))
        .where(Workload.hash.in_(workloads))
    )


def _task_row(row: Any) -> CampaignTaskRow:
    values = dict(row._mapping)
    values["state"] = TaskState(row.state)
    return CampaignTaskRow(**values)
