"""Trials: recorded exactly once, and looked up best first."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, func, select, update

from orchestrator.errors import NotFoundError
from orchestrator.storage._campaigns import require_lease
from orchestrator.storage._database import Database, chunks
from orchestrator.storage._lookup import (
    device_class_ids,
    insert_trials,
    of_pair,
    trial_columns,
    trial_row,
    trial_values,
    trials_joined,
)
from orchestrator.storage._models import DeviceClass, Extraction, ModelTask, Trial, Workload
from orchestrator.storage.rows import ModelTaskRow, NewTrial, TrialRow
from workers.messages import Candidate, Record, TrialState
from workers.messages import Workload as WorkloadMessage

__all__ = ["Trials"]

#: Other workloads whose trials :meth:`Trials.related` looks at.
_RELATED_WORKLOADS = 64
#: Those of them whose fastest trials :meth:`Trials.fastest_related` returns.
_LENDERS = 8


class Trials(Database):
    """Trials. Written by the owner of the campaign that measured them; read by anyone.

    A lookup of run times names a device class, and never answers with another's.
    """

    def record_trials(
        self, trials: Sequence[NewTrial], *, campaign_id: int | None = None, owner: str | None = None
    ) -> int:
        """Store trials, all in one transaction, and return how many of them were new.

        A candidate that is stored for its workload and device class changes nothing: a late or repeated
        report has no effect. So this may be called again after any error.

        Parameters
        ----------
        campaign_id, owner : int, str or None
            Where both are given, ``owner`` must hold that campaign's lease; checked in the same transaction.

        Raises
        ------
        LeaseLostError
            It doesn't: another coordinator goes on from what is stored. Nothing was stored.
        NotFoundError
            A workload or device class isn't stored. Nothing was stored.
        ValueError
            A trial is called ok without a time, or has times that are no numbers.
        """
        rows = [trial_values(trial) for trial in trials]

        def work(connection: Connection) -> int:
            if owner is not None and campaign_id is not None:
                require_lease(connection, campaign_id, owner)
            return insert_trials(connection, trials, rows)

        return self._write(work) if rows else 0

    def record_again(
        self,
        workload_hash: str,
        device_class: str,
        times: Mapping[str, Sequence[float]],
        *,
        campaign_id: int | None = None,
        owner: str | None = None,
    ) -> None:
        """Add the times (seconds) of trials that were measured again, by their candidates' hashes.

        A trial's cost is the median of these from then on: what it was recorded with may have made it the
        best by mere luck. Candidates that have no successful trial are passed over.

        Parameters
        ----------
        campaign_id, owner : int, str or None
            As for :meth:`record_trials`.

        Raises
        ------
        LeaseLostError
            As for :meth:`record_trials`.
        ValueError
            A time is no number.
        """
        if not all(math.isfinite(t) and t >= 0 for taken in times.values() for t in taken):
            raise ValueError(f"these are no times: {dict(times)}")
        pair = of_pair(workload_hash, device_class)
        wanted = and_(pair, Trial.candidate.in_(times), Trial.cost_s.is_not(None))

        def work(connection: Connection) -> None:
            if owner is not None and campaign_id is not None:
                require_lease(connection, campaign_id, owner)
            query = select(Trial.id, Trial.candidate, Trial.again).where(wanted).order_by(Trial.id)
            for row in connection.execute(query.with_for_update()).all():
                again = [*row.again, *times[row.candidate]]
                if again:
                    values = {"again": again, "cost_s": statistics.median(again)}
                    connection.execute(update(Trial).where(Trial.id == row.id).values(values))

        self._write(work)

    def trial_counts(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Count the stored trials of (workload hash, device class) pairs; 0 for what isn't known."""
        wanted = list(dict.fromkeys(pairs))
        counts = dict.fromkeys(wanted, 0)
        count = (
            select(func.count())
            .where(Trial.workload_id == Workload.id, Trial.device_class_id == DeviceClass.id)
            .correlate(Workload, DeviceClass)
            .scalar_subquery()
        )

        def work(connection: Connection) -> None:
            for device_class in dict.fromkeys(name for _, name in wanted):
                for part in chunks(h for h, name in wanted if name == device_class):
                    query = (
                        select(Workload.hash, count.label("trials"))
                        .join(DeviceClass, DeviceClass.name == device_class)
                        .where(Workload.hash.in_(part))
                    )
                    for row in connection.execute(query):
                        counts[row.hash, device_class] = row.trials

        self._read(work)
        return counts

    def history(self, workload_hash: str, device_class: str, limit: int = 512) -> list[Record]:
        """Return up to ``limit`` successful trials, the fastest first, as a search is seeded with them."""
        query = (
            select(Trial.candidate, Trial.trace, Trial.times)
            .where(of_pair(workload_hash, device_class), Trial.cost_s.is_not(None))
            .order_by(Trial.cost_s, Trial.id)
            .limit(limit)
        )
        return [
            Record(Candidate(row.candidate, row.trace.decode()), tuple(row.times))
            for row in self._read(lambda c: c.execute(query).all())
        ]

    def fastest_related(
        self, workload_hash: str, device_class: str, each: int
    ) -> list[tuple[WorkloadMessage, Record]]:
        """Return the fastest trials of other workloads of the same engine and name, `each` of every one.

        Of the few that are nearest in their work, among those that were stored last. Never those of another
        device class.
        """
        own = select(Workload.engine, Workload.name, Workload.flops).where(Workload.hash == workload_hash)

        def work(connection: Connection) -> list[tuple[WorkloadMessage, Record]]:
            row = connection.execute(own).one_or_none()
            if row is None:
                return []
            # Not their modules, which are large: most of them are only to be compared in size.
            alike = (
                select(Workload.id, Workload.flops)
                .where(
                    Workload.engine == row.engine, Workload.name == row.name, Workload.hash != workload_hash
                )
                .order_by(Workload.id.desc())
                .limit(_RELATED_WORKLOADS)
            )
            found = sorted(
                connection.execute(alike).all(),
                key=lambda other: abs(math.log(max(other.flops, 1.0) / max(row.flops, 1.0))),
            )
            class_id = select(DeviceClass.id).where(DeviceClass.name == device_class).scalar_subquery()
            trials: list[Any] = []
            for other in found:
                fastest = (
                    select(Trial.workload_id, Trial.candidate, Trial.trace, Trial.times)
                    .where(
                        Trial.workload_id == other.id,
                        Trial.device_class_id == class_id,
                        Trial.cost_s.is_not(None),
                    )
                    .order_by(Trial.cost_s, Trial.id)
                    .limit(each)
                )
                trials += connection.execute(fastest).all()
                if len(trials) >= each * _LENDERS:
                    break
            return _with_workloads(connection, trials)

        return self._read(work)

    def related(
        self, workload_hash: str, device_class: str, limit: int = 512
    ) -> list[tuple[WorkloadMessage, Record]]:
        """Return the latest successful trials of other workloads of the same engine and name.

        Of the 64 such workloads that were stored last, so that it takes as long in a large
        store as in a small one. They are what a cost model can learn from before its own workload has a
        trial. Never those of another device class.
        """
        own = select(Workload.engine, Workload.name).where(Workload.hash == workload_hash).subquery("own")
        class_id = select(DeviceClass.id).where(DeviceClass.name == device_class).scalar_subquery()
        succeeded = and_(Trial.device_class_id == class_id, Trial.cost_s.is_not(None))
        alike = (
            select(Workload.id)
            .join(own, and_(own.c.engine == Workload.engine, own.c.name == Workload.name))
            .where(
                Workload.hash != workload_hash,
                # Not EXISTS: PostgreSQL would make a join of that, over all trials there are.
                select(Trial.id)
                .where(Trial.workload_id == Workload.id, succeeded)
                .limit(1)
                .correlate(Workload)
                .scalar_subquery()
                .is_not(None),
            )
            .order_by(Workload.id.desc())
            .limit(_RELATED_WORKLOADS)
            .subquery("alike")
        )
        # First which ones, from the index alone: traces are large, and sorting would carry them along.
        latest = (
            select(Trial.id)
            .join(alike, alike.c.id == Trial.workload_id)
            .where(succeeded)
            .order_by(Trial.id.desc())
            .limit(limit)
            .subquery("latest")
        )
        trials = (
            select(Trial.workload_id, Trial.candidate, Trial.trace, Trial.times)
            .join(latest, latest.c.id == Trial.id)
            .order_by(Trial.id.desc())
        )
        return self._read(lambda c: _with_workloads(c, c.execute(trials).all()))

    def known_candidates(self, workload_hash: str, device_class: str) -> set[str]:
        """Return the hashes of all stored candidates, failed ones too: what a search need not propose
        again."""
        query = select(Trial.candidate).where(of_pair(workload_hash, device_class))
        return set(self._read(lambda c: c.scalars(query).all()))

    def trials(
        self,
        campaign_id: int,
        *,
        state: TrialState | None = None,
        limit: int | None = None,
        offset: int = 0,
        after_id: int = 0,
    ) -> list[TrialRow]:
        """Return the trials a campaign measured, in the order they were recorded, without their traces.

        ``after_id`` leaves out those up to an id: a follower asks for what is new with it.
        """
        query = (
            trials_joined(trace=False)
            .where(Trial.campaign_id == campaign_id, Trial.id > after_id)
            .order_by(Trial.id)
            .limit(limit)
            .offset(offset or None)
        )
        if state is not None:
            query = query.where(Trial.state == state.value)
        return [trial_row(row, trace=False) for row in self._read(lambda c: c.execute(query).all())]

    def trials_of(self, workload_hash: str, device_class: str) -> list[TrialRow]:
        """Return all trials of a workload on a device class, failures too, with their traces.

        In the order they were recorded, whoever measured them.
        """
        query = trials_joined(trace=True).where(of_pair(workload_hash, device_class)).order_by(Trial.id)
        return [trial_row(row, trace=True) for row in self._read(lambda c: c.execute(query).all())]

    def get_trial(self, trial_id: int) -> TrialRow:
        """Return a trial with its trace; :class:`NotFoundError` where there is none of that id."""
        query = trials_joined(trace=True).where(Trial.id == trial_id)
        row = self._read(lambda c: c.execute(query).one_or_none())
        if row is None:
            raise NotFoundError(f"there is no trial {trial_id}")
        return trial_row(row, trace=True)

    def best(self, workload_hash: str, device_class: str | None = None, k: int = 1) -> list[TrialRow]:
        """Return the ``k`` fastest trials of a workload on a device class, with traces.

        Without a device class: the ``k`` fastest of each, class by class, since times of two don't compare.
        """
        query = trials_joined(trace=True).where(Trial.cost_s.is_not(None))
        if device_class is not None:
            query = (
                query.where(of_pair(workload_hash, device_class)).order_by(Trial.cost_s, Trial.id).limit(k)
            )
        else:
            place = func.row_number().over(
                partition_by=Trial.device_class_id, order_by=(Trial.cost_s, Trial.id)
            )
            ranked = (
                select(Trial.id, place.label("place"))
                .join(Workload, Workload.id == Trial.workload_id)
                .where(Workload.hash == workload_hash, Trial.cost_s.is_not(None))
                .subquery("ranked")
            )
            query = (
                query.join(ranked, ranked.c.id == Trial.id)
                .where(ranked.c.place <= k)
                .order_by(DeviceClass.name, Trial.cost_s, Trial.id)
            )
        return [trial_row(row, trace=True) for row in self._read(lambda c: c.execute(query).all())]

    def best_for_model(self, model_id: int, device_class: str, engine_version: str) -> list[ModelTaskRow]:
        """Return every task of an extracted model, in the model's order, with its best trial on a device
        class.

        Raises
        ------
        NotFoundError
            The device class isn't stored, or the model was not extracted for its target by that version.
        """
        here = and_(
            Trial.workload_id == ModelTask.workload_id,
            Trial.device_class_id == DeviceClass.id,
        )
        counted = select(func.count()).where(here).correlate(ModelTask, DeviceClass)
        best_id = (
            select(Trial.id)
            .where(here, Trial.cost_s.is_not(None))
            .order_by(Trial.cost_s, Trial.id)
            .limit(1)
            .correlate(ModelTask, DeviceClass)
        )
        tasks = (
            select(
                ModelTask.position,
                ModelTask.name,
                ModelTask.weight,
                ModelTask.workload_id,
                DeviceClass.name.label("device_class"),
                counted.scalar_subquery().label("stored"),
                counted.where(Trial.cost_s.is_(None)).scalar_subquery().label("failures"),
                best_id.scalar_subquery().label("best_id"),
            )
            .select_from(Extraction)
            .join(DeviceClass, DeviceClass.target_id == Extraction.target_id)
            .outerjoin(ModelTask, ModelTask.extraction_id == Extraction.id)
            .where(
                Extraction.model_id == model_id,
                Extraction.engine_version == engine_version,
                DeviceClass.name == device_class,
            )
            .subquery("tasks")
        )
        own = {"workload_hash", "workload_name", "device_class"}
        columns = [c for c in trial_columns(trace=True) if c.key not in own]
        query = (
            select(
                tasks.c.position,
                tasks.c.name.label("task_name"),
                tasks.c.weight,
                tasks.c.device_class,
                tasks.c.stored,
                tasks.c.failures,
                Workload.hash.label("workload_hash"),
                Workload.name.label("workload_name"),
                Workload.flops,
                *columns,
            )
            .select_from(tasks)
            .outerjoin(Workload, Workload.id == tasks.c.workload_id)
            .outerjoin(Trial, Trial.id == tasks.c.best_id)
            .order_by(tasks.c.position)
        )

        def work(connection: Connection) -> Sequence[Row[Any]]:
            rows = connection.execute(query).all()
            if not rows:
                device_class_ids(connection, [device_class])
                raise NotFoundError(
                    f"model {model_id} was not extracted for {device_class} by version {engine_version}"
                )
            return rows

        return [
            ModelTaskRow(
                name=row.task_name,
                weight=row.weight,
                workload_hash=row.workload_hash,
                flops=row.flops,
                trials=row.stored,
                failures=row.failures,
                best=None if row.trial_id is None else trial_row(row, trace=True),
            )
            for row in self._read(work)
            # An extraction without tasks is one row of nothing.
            if row.workload_hash is not None
        ]


def _with_workloads(connection: Connection, trials: Sequence[Any]) -> list[tuple[WorkloadMessage, Record]]:
    """Return each trial with its workload, in their order; a workload is read once."""
    wanted = {row.workload_id for row in trials}
    workloads = select(*Workload.__table__.c).where(Workload.id.in_(wanted))
    found = {
        row.id: WorkloadMessage(row.hash, row.engine, row.name, row.flops, row.module)
        for row in connection.execute(workloads)
    }
    return [
        (found[row.workload_id], Record(Candidate(row.candidate, row.trace.decode()), tuple(row.times)))
        for row in trials
    ]
