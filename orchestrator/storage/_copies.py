"""Records as a whole: read page by page, taken from another store, counted, and pruned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, func, or_, select, text

from orchestrator.errors import UsageError
from orchestrator.storage._database import Database, chunks
from orchestrator.storage._engine import vacuum
from orchestrator.storage._lookup import (
    device_class_ids,
    insert_trials,
    trial_row,
    trial_values,
    trials_joined,
)
from orchestrator.storage._models import (
    Campaign,
    DeviceClass,
    Model,
    ModelTask,
    Target,
    Task,
    Trial,
    Verification,
    Workload,
)
from orchestrator.storage._types import db_now
from orchestrator.storage.rows import ClassStatistics, NewTrial, PruneCounts, StoreStatistics, TrialRow
from workers.messages import Candidate, Measurement, TrialState
from workers.messages import Workload as WorkloadMessage

__all__ = ["Copies"]

_PAGE = 500


class Copies(Database):
    """What is asked of all records, whatever campaign they came from."""

    def all_trials(
        self,
        *,
        engine: str | None = None,
        device_class: str | None = None,
        workloads: Sequence[str] | None = None,
        page: int = _PAGE,
    ) -> Iterator[list[TrialRow]]:
        """Go through the trials in the order they were recorded, with their traces, a page at a time.

        Each page is a transaction of its own: what is recorded meanwhile comes too.

        Parameters
        ----------
        workloads : sequence of str, optional
            Only those of workloads with these hashes.
        page : int, optional
            Trials of a page, at most.
        """
        query = trials_joined(trace=True).order_by(Trial.id).limit(page)
        if engine is not None:
            query = query.where(Workload.engine == engine)
        if device_class is not None:
            query = query.where(DeviceClass.name == device_class)
        # One list of hashes a statement: the order then holds within each part only, which is all that is
        # promised where workloads are named.
        for part in [None] if workloads is None else chunks(workloads):
            narrowed = query if part is None else query.where(Workload.hash.in_(part))
            last = 0
            while rows := self._page(narrowed.where(Trial.id > last)):
                yield rows
                last = rows[-1].id

    def _page(self, query: Select[Any]) -> list[TrialRow]:
        return [trial_row(row, trace=True) for row in self._read(lambda c: c.execute(query).all())]

    def get_workloads(self, hashes: Sequence[str]) -> list[WorkloadMessage]:
        """Return workloads with their modules; those that are not stored are left out."""

        def work(connection: Connection) -> list[WorkloadMessage]:
            found = []
            for part in chunks(dict.fromkeys(hashes)):
                query = select(
                    Workload.hash, Workload.engine, Workload.name, Workload.flops, Workload.module
                ).where(Workload.hash.in_(part))
                found += [WorkloadMessage(*row) for row in connection.execute(query)]
            return found

        return self._read(work)

    def import_trials(self, trials: Sequence[TrialRow]) -> int:
        """Store trials of another store as they were recorded there, and return how many were new.

        Their numbers, and the campaigns they belonged to, are that store's own and stay there. A candidate
        that is stored for its workload and device class changes nothing.

        Raises
        ------
        NotFoundError
            A workload or device class isn't stored. Nothing was stored.
        ValueError
            A trial without a trace, called ok without a time, or with times that are no numbers.
        """
        rows = [_values(trial) for trial in trials]

        def work(connection: Connection) -> int:
            return insert_trials(connection, trials, rows)

        return self._write(work) if rows else 0

    def statistics(self) -> StoreStatistics:
        """Count what is stored, by engine and device class."""
        # From the index alone: rows carry traces, and a store of a million trials is gigabytes.
        counted = (
            select(
                Trial.device_class_id,
                func.count().label("trials"),
                func.count(Trial.cost_s).label("succeeded"),
                func.count(Trial.workload_id.distinct()).label("workloads"),
                func.min(Trial.id).label("first"),
                func.max(Trial.id).label("last"),
            )
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

        return self._read(work)

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
            Of each workload on each device class the fastest this many stay; at least 1.
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
            partition_by=(Trial.workload_id, Trial.device_class_id), order_by=(Trial.cost_s, Trial.id)
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
        # A workload that nothing refers to any more: no trial, no model, no campaign.
        orphan = and_(
            *(
                ~select(table.id).where(table.workload_id == Workload.id).exists()
                for table in (Trial, ModelTask, Task)
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

        return self._read(work) if dry_run else self._write(work)

    def shrink(self) -> None:
        """Give the space of deleted rows back to the disk, where the database doesn't by itself.

        SQLite writes its file anew, which takes as much space again for the moment; where another process
        holds the database, or there is no room, nothing is done: the space is used by what comes next.
        """
        if self._path is not None:
            vacuum(self._path, self._patience_s)


def _values(trial: TrialRow) -> dict[str, Any]:
    times = [float(t) for t in trial.times]
    again = [float(t) for t in trial.again]
    ok = trial.state is TrialState.OK
    if trial.trace is None:
        raise ValueError(f"candidate {trial.candidate} comes without its trace")
    if (ok and not times) or not all(math.isfinite(t) and t >= 0 for t in times + again):
        raise ValueError(f"candidate {trial.candidate} is {trial.state.value}, and its times are {times}")
    measured = Measurement(trial.state, trial.times, trial.message, trial.device, trial.host, trial.run_s)
    new = NewTrial(
        trial.workload_hash,
        trial.device_class,
        Candidate(trial.candidate, trial.trace),
        measured,
        build_s=trial.build_s,
        token=trial.token,
        versions=trial.versions,
        again=trial.again,
    )
    return {**trial_values(new), "created_at": trial.created_at}


def _count(connection: Connection, model: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(model)).scalar_one())


def _size(connection: Connection) -> int:
    if connection.dialect.name == "sqlite":
        pages, size = (
            connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in ("page_count", "page_size")
        )
        return int(pages) * int(size)
    return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
