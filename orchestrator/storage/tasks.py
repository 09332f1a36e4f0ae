"""The tasks of a campaign, and their progress as the trials tell it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from orchestrator.storage._inside_rows import insides_of_campaign
from orchestrator.storage._standing import best_id, is_stale
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
        # Once for all that follows: PostgreSQL would ask for the device class of each single trial.
        mine = (
            select(
                Task.id,
                Task.campaign_id,
                Task.workload_id,
                Task.device_class_id,
                DeviceClass.name.label("device_class"),
                DeviceClass.toolchain,
            )
            .join(DeviceClass, DeviceClass.id == Task.device_class_id)
            .where(Task.campaign_id == campaign_id)
            .cte("mine")
        )
        here = (Trial.workload_id == mine.c.workload_id) & (Trial.device_class_id == mine.c.device_class_id)
        # Trials that were measured without any campaign have none to compare: not NULL but no.
        ours = case((Trial.campaign_id == mine.c.campaign_id, 1), else_=0)
        failed = case((Trial.id.is_not(None) & Trial.cost_s.is_(None), 1), else_=0)
        current = case((Trial.toolchain == mine.c.toolchain, 1), else_=0)
        counted = (
            select(
                mine.c.id,
                func.sum(current).label("stored"),
                func.sum(current * failed).label("stored_failures"),
                (func.count(Trial.id) - func.sum(current)).label("stale"),
                func.sum(ours).label("measured"),
                func.sum(ours * failed).label("measured_failures"),
            )
            .select_from(mine)
            .outerjoin(Trial, here)
            .group_by(mine.c.id)
            .subquery("counted")
        )
        best = select(mine.c.id, best_id(here, mine, current=mine.c.toolchain).label("trial_id")).subquery(
            "best"
        )
        query = (
            select(
                Task.id,
                Task.campaign_id,
                Workload.hash.label("workload_hash"),
                Workload.name.label("workload_name"),
                Workload.flops,
                mine.c.device_class,
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
                counted.c.stale,
                case((is_stale(mine.c.toolchain), 1), else_=0).label("best_stale"),
            )
            .select_from(mine)
            .join(Task, Task.id == mine.c.id)
            .join(Workload, Workload.id == mine.c.workload_id)
            .join(counted, counted.c.id == mine.c.id)
            .join(best, best.c.id == mine.c.id)
            .outerjoin(Trial, Trial.id == best.c.trial_id)
            .order_by(Task.id)
        )

        def work(connection: Connection) -> list[CampaignTaskRow]:
            insides = insides_of_campaign(connection, campaign_id)
            return [
                replace(_task_row(row), inside=insides.get((row.workload_hash, row.device_class)))
                for row in connection.execute(query)
            ]

        return self._database.read(work)

    def standings(
        self, pairs: Sequence[tuple[str, str]], *, toolchains: Mapping[str, str] | None = None
    ) -> list[TaskStanding]:
        """Return what is stored for each pair of workload hash and device class, in their order.

        Parameters
        ----------
        toolchains : mapping of str to str, optional
            Keys of those that are the current ones for the asker, by device class; left out, what each is
            measured with.
        """
        found: dict[tuple[str, str], TaskStanding] = {}
        wanted = sorted({workload for workload, _ in pairs})
        for start in range(0, len(wanted), IN_CLAUSE):
            query = _standings(
                wanted[start : start + IN_CLAUSE], sorted({name for _, name in pairs}), toolchains or {}
            )
            for row in self._database.read(functools.partial(_rows, query)):
                found[row.hash, row.name] = TaskStanding(
                    row.stored, row.since_best, bool(row.exhausted), row.stale
                )
        return [found.get(pair, TaskStanding()) for pair in pairs]


def _rows(query: Any, connection: Connection) -> Sequence[Any]:
    return connection.execute(query).all()


def _standings(workloads: Sequence[str], classes: Sequence[str], toolchains: Mapping[str, str]) -> Any:
    """Count a workload's trials on a device class and those after its best; see if a search ended it."""

    def of_pair(table: Any) -> Any:
        return (table.workload_id == Workload.id) & (table.device_class_id == DeviceClass.id)

    current: Any = DeviceClass.toolchain
    if toolchains:
        current = case(toolchains, value=DeviceClass.name, else_=DeviceClass.toolchain)
    best = (
        select(Trial.id)
        .where(of_pair(Trial), Trial.toolchain == current, Trial.cost_s.is_not(None))
        .order_by(Trial.cost_s, Trial.id)
        .limit(1)
        .correlate(Workload, DeviceClass)
        .scalar_subquery()
    )
    counted = select(func.count(Trial.id)).where(of_pair(Trial)).correlate(Workload, DeviceClass)
    stored = counted.where(Trial.toolchain == current)
    stale = counted.where(is_stale(current), Trial.cost_s.is_not(None))
    exhausted = select(func.count(Task.id)).where(of_pair(Task), Task.state == TaskState.EXHAUSTED.value)
    return (
        select(
            Workload.hash,
            DeviceClass.name,
            stored.scalar_subquery().label("stored"),
            # Trial ids grow with time.
            stored.where(Trial.id > func.coalesce(best, 0)).scalar_subquery().label("since_best"),
            stale.scalar_subquery().label("stale"),
            exhausted.correlate(Workload, DeviceClass).scalar_subquery().label("exhausted"),
        )
        .select_from(Workload)
        .join(DeviceClass, DeviceClass.name.in_(classes))
        .where(Workload.hash.in_(workloads))
    )


def _task_row(row: Any) -> CampaignTaskRow:
    values = dict(row._mapping)
    values["state"] = TaskState(row.state)
    # Of a task without any there is none that could be.
    values["best_stale"] = row.best_trial_id is not None and bool(row.best_stale)
    return CampaignTaskRow(**values)
