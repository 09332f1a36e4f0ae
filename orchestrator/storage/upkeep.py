"""The store as a whole: how much is in it, and what may go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    case,
    delete,
    func,
    or_,
    select,
    text,
)

from orchestrator.errors import UsageError
from orchestrator.storage._group import Group
from orchestrator.storage._ids import (
    device_class_ids,
)
from orchestrator.storage._standing import is_stale
from orchestrator.storage._tables import (
    Campaign,
    CostSamples,
    DeviceClass,
    InsideTime,
    Model,
    ModelTask,
    Target,
    Task,
    Trial,
    Verification,
    Workload,
)
from orchestrator.storage._types import db_now
from orchestrator.storage.rows import (
    ClassStatistics,
    PruneCounts,
    StoreStatistics,
)

__all__ = ["Upkeep"]


class Upkeep(Group):
    """What is counted and deleted, whatever campaign it came from."""

    def statistics(self) -> StoreStatistics:
        """Count what is stored, by engine and device class."""
        # From the index alone: rows carry traces, and a store of a million trials is gigabytes.
        counted = (
            select(
                Trial.device_class_id,
                func.count().label("trials"),
                func.count(Trial.cost_s).label("succeeded"),
                func.sum(case((is_stale(), 1), else_=0)).label("stale"),
                func.count(Trial.workload_id.distinct()).label("workloads"),
                func.min(Trial.id).label("first"),
                func.max(Trial.id).label("last"),
            )
            .join(DeviceClass, DeviceClass.id == Trial.device_class_id)
            .group_by(Trial.device_class_id)
            .subquery("counted")
        )
        first, last = (
            select(Trial.created_at).where(Trial.id == column).scalar_subquery()
            for column in (counted.c.first, counted.c.last)
        )
        by_class = (
            select(
                DeviceClass.name,
                Target.engine,
                DeviceClass.model,
                counted.c.trials,
                counted.c.succeeded,
                counted.c.stale,
                DeviceClass.toolchain,
                counted.c.workloads,
                first.label("first_at"),
                last.label("last_at"),
            )
            .select_from(DeviceClass)
            .join(Target, Target.id == DeviceClass.target_id)
            .join(counted, counted.c.device_class_id == DeviceClass.id)
            .order_by(Target.engine, DeviceClass.name)
        )

        def work(connection: Connection) -> StoreStatistics:
            classes = tuple(
                ClassStatistics(
                    device_class=row.name,
                    engine=row.engine,
                    device=row.model,
                    workloads=row.workloads,
                    trials=row.trials,
                    failures=row.trials - row.succeeded,
                    stale=row.stale,
                    toolchain=row.toolchain,
                    first_at=row.first_at,
                    last_at=row.last_at,
                )
                for row in connection.execute(by_class)
            )
            return StoreStatistics(
                classes=classes,
                workloads=_count(connection, Workload),
                models=_count(connection, Model),
                campaigns=_count(connection, Campaign),
                verifications=_count(connection, Verification),
                size_bytes=_size(connection),
            )

        return self._database.read(work)

    def prune(
        self,
        *,
        keep: int | None = None,
        failed: bool = False,
        older_than: timedelta | None = None,
        engine: str | None = None,
        device_class: str | None = None,
        dry_run: bool = False,
    ) -> PruneCounts:
        """Delete trials that nobody will build from.

        What is deleted no longer counts toward any budget: a campaign that wants it measures it again.

        Parameters
        ----------
        keep : int, optional
            Of each workload on each device class the fastest this many stay, of each toolchain; at least 1.
        failed : bool, optional
            Failed trials go.
        older_than : timedelta, optional
            Only trials recorded longer ago than this, by the database's clock.
        engine, device_class : str, optional
            Only trials of these.
        dry_run : bool, optional
            Count, and delete nothing.

        Raises
        ------
        UsageError
            Neither `keep` nor `failed` is given, or a campaign is running: it counts on what it found.
        """
        if keep is None and not failed:
            raise UsageError("say what may go: all but the fastest of each workload, failed trials, or both")
        if keep is not None and keep < 1:
            raise UsageError("at least the fastest trial of each workload stays")
        place = func.row_number().over(
            partition_by=(Trial.workload_id, Trial.device_class_id, Trial.toolchain),
            order_by=(Trial.cost_s, Trial.id),
        )
        ranked = (
            select(Trial.id.label("id"), place.label("place"))
            .where(Trial.cost_s.is_not(None))
            .subquery("ranked")
        )
        surplus = []
        if keep is not None:
            surplus.append(Trial.id.in_(select(ranked.c.id).where(ranked.c.place > keep)))
        if failed:
            surplus.append(Trial.cost_s.is_(None))
        narrowed = []
        if older_than is not None:
            narrowed.append(Trial.created_at < db_now(-older_than.total_seconds()))
        if device_class is not None:
            named = select(DeviceClass.id).where(DeviceClass.name == device_class)
            narrowed.append(Trial.device_class_id.in_(named))
        if engine is not None:
            named = (
                select(DeviceClass.id)
                .join(Target, Target.id == DeviceClass.target_id)
                .where(Target.engine == engine)
            )
            narrowed.append(Trial.device_class_id.in_(named))
        doomed = and_(or_(*surplus), *narrowed)
        # A workload that nothing refers to any more.
        orphan = and_(
            *(
                ~select(table.id).where(table.workload_id == Workload.id).exists()
                for table in (Trial, ModelTask, Task, CostSamples, InsideTime)
            )
        )

        def work(connection: Connection) -> PruneCounts:
            if device_class is not None:
                device_class_ids(connection, [device_class])
            running = select(Campaign.id).where(Campaign.lease_until > db_now()).order_by(Campaign.id)
            busy = connection.scalars(running).all()
            if busy and not dry_run:
                names = ", ".join(map(str, busy))
                raise UsageError(f"campaign {names} is running: pause it first, then prune")
            count = select(func.count()).select_from(Trial)
            before = connection.execute(count).scalar_one()
            failures = connection.execute(count.where(doomed, Trial.cost_s.is_(None))).scalar_one()
            if dry_run:
                trials = connection.execute(count.where(doomed)).scalar_one()
                return PruneCounts(before, trials, failures, 0)
            trials = connection.execute(delete(Trial).where(doomed)).rowcount
            workloads = connection.execute(delete(Workload).where(orphan)).rowcount
            return PruneCounts(before, trials, failures, workloads)

        return self._database.read(work) if dry_run else self._database.write(work)

    def shrink(self) -> None:
        """Give the space of deleted rows back to the disk, where the database doesn't by itself.

        SQLite writes its file anew, which takes as much space again for the moment; where another process
        holds the database, or there is no room, nothing is done: the space is used by what comes next.
        """
        self._database.vacuum()


def _count(connection: Connection, model: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(model)).scalar_one())


def _size(connection: Connection) -> int:
    if connection.dialect.name == "sqlite":
        pages, size = (
            connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in ("page_count", "page_size")
        )
        return int(pages) * int(size)
    return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
