"""Trials: recorded exactly once, and looked up best first."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    func,
    select,
    update,
)

from orchestrator.errors import NotFoundError
from orchestrator.storage._campaign_rows import (
    require_lease,
)
from orchestrator.storage._database import chunks
from orchestrator.storage._group import Group
from orchestrator.storage._ids import (
    device_class_ids,
    storable,
)
from orchestrator.storage._tables import (
    DeviceClass,
    Extraction,
    ModelTask,
    Trial,
    Workload,
)
from orchestrator.storage._trial_rows import (
    insert_trials,
    of_pair,
    trial_columns,
    trial_row,
    trial_values,
    trials_joined,
)
from orchestrator.storage.rows import (
    ModelTaskRow,
    NewTrial,
    TrialRow,
)
from workers.messages import (
    Candidate,
    Measurement,
    TrialState,
)

__all__ = ["Trials"]

_PAGE = 500


class Trials(Group):
    """Trials. Written by the owner of the campaign that measured them; read by anyone.

    A lookup of run times names a device class, and never answers with another's.
    """

    def record(
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

        return self._database.write(work) if rows else 0

    def record_remeasured(
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
            As for :meth:`record`.

        Raises
        ------
        LeaseLostError
            As for :meth:`record`.
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

        self._database.write(work)

    def mark_wrong(
        self, workload_hash: str, device_class: str, candidate: str, message: str
    ) -> TrialRow | None:
        """Say of a successful trial that what it measured computes something else than its workload.

        It stays, as a failure: its candidate isn't proposed again, and nothing is built of it. What it had
        been timed at is in its message from then on.

        Returns
        -------
        TrialRow or None
            As it was before; None where there is no such successful trial.
        """
        wanted = and_(
            of_pair(workload_hash, device_class), Trial.candidate == candidate, Trial.cost_s.is_not(None)
        )

        def work(connection: Connection) -> TrialRow | None:
            row = connection.execute(trials_joined(trace=False).where(wanted)).one_or_none()
            if row is None:
                return None
            values: dict[str, Any] = {
                "state": TrialState.WRONG_OUTPUT.value,
                "cost_s": None,
                "times": [],
                "again": [],
                "message": storable(f"{message}; it had been timed at {row.cost_s:.4g} s"),
            }
            connection.execute(update(Trial).where(Trial.id == row.trial_id).values(values))
            return trial_row(row, trace=False)

        return self._database.write(work)

    def record_copies(self, trials: Sequence[TrialRow]) -> int:
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

        return self._database.write(work) if rows else 0

    def counts(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
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

        self._database.read(work)
        return counts

    def known_candidates(self, workload_hash: str, device_class: str) -> set[str]:
        """Return the hashes of all stored candidates, failed ones too: what a search need not propose
        again."""
        query = select(Trial.candidate).where(of_pair(workload_hash, device_class))
        return set(self._database.read(lambda c: c.scalars(query).all()))

    def get(self, trial_id: int) -> TrialRow:
        """Return a trial with its trace; :class:`NotFoundError` where there is none of that id."""
        query = trials_joined(trace=True).where(Trial.id == trial_id)
        row = self._database.read(lambda c: c.execute(query).one_or_none())
        if row is None:
            raise NotFoundError(f"there is no trial {trial_id}")
        return trial_row(row, trace=True)

    def of_campaign(
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
        return [trial_row(row, trace=False) for row in self._database.read(lambda c: c.execute(query).all())]

    def of_workload(self, workload_hash: str, device_class: str) -> list[TrialRow]:
        """Return all trials of a workload on a device class, failures too, with their traces.

        In the order they were recorded, whoever measured them.
        """
        query = trials_joined(trace=True).where(of_pair(workload_hash, device_class)).order_by(Trial.id)
        return [trial_row(row, trace=True) for row in self._database.read(lambda c: c.execute(query).all())]

    def pages(
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
        return [trial_row(row, trace=True) for row in self._database.read(lambda c: c.execute(query).all())]

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
            for row in self._database.read(work)
            # An extraction without tasks is one row of nothing.
            if row.workload_hash is not None
        ]

    def _page(self, query: Select[Any]) -> list[TrialRow]:
        return [trial_row(row, trace=True) for row in self._database.read(lambda c: c.execute(query).all())]


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
