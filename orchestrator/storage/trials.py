"""Trials: recorded exactly once, and looked up best first."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    func,
    select,
)

from orchestrator.errors import NotFoundError
from orchestrator.storage._campaign_rows import (
    require_named_lease,
)
from orchestrator.storage._copies import check_copy, insert_copies, lacking
from orchestrator.storage._database import Database, chunks
from orchestrator.storage._group import Group
from orchestrator.storage._ids import (
    device_class_ids,
    storable,
)
from orchestrator.storage._measurement_rows import (
    insert_measurements,
    measurements_of,
)
from orchestrator.storage._standing import best_id, best_rows, is_stale, that_counts
from orchestrator.storage._tables import (
    DeviceClass,
    Extraction,
    Measurement,
    ModelTask,
    Toolchain,
    Trial,
    Workload,
)
from orchestrator.storage._toolchain_rows import canonical, put_toolchains, with_release
from orchestrator.storage._trial_rows import (
    insert_trials,
    of_pair,
    toolchain_of,
    trial_columns,
    trial_row,
    trial_values,
    trials_joined,
)
from orchestrator.storage.rows import (
    Copied,
    MeasurementKind,
    ModelTaskRow,
    NewTrial,
    TrialRow,
)
from workers.messages import (
    TrialState,
)

__all__ = ["Trials"]

_PAGE = 500


class Trials(Group):
    """Trials. Written by the owner of the campaign that measured them; read by anyone.

    A lookup of run times names a device class, and never answers with another's.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        # Ids of toolchains by their texts. None is ever deleted.
        self._toolchains: dict[str, int] = {}

    def record(
        self, trials: Sequence[NewTrial], *, campaign_id: int | None = None, owner: str | None = None
    ) -> int:
        """Store trials with their first measurements, all in one transaction; return how many were new.

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
        values = [trial_values(trial) for trial in trials]
        toolchains: dict[str, int] = {}

        def work(connection: Connection) -> int:
            nonlocal toolchains
            require_named_lease(connection, campaign_id, owner)
            toolchains = dict(self._toolchains)
            return insert_trials(connection, trials, values, toolchains)

        new = self._database.write(work) if trials else 0
        # Only now they are sure to be there.
        self._toolchains.update(toolchains)
        return new

    def mark_wrong(
        self,
        workload_hash: str,
        device_class: str,
        candidate: str,
        message: str,
        *,
        versions: Mapping[str, str],
        device: str,
        host: str,
    ) -> TrialRow | None:
        """Say of a successful trial that what it measured computes something else than its workload.

        It stays, as a failure: its candidate isn't proposed again, and nothing is built of it, whatever it is
        measured with. The comparison is a measurement of it, and the times of those before are kept.

        Parameters
        ----------
        versions : mapping of str to str
            With what it was built to be compared.
        device, host : str
            Where that ran.

        Returns
        -------
        TrialRow or None
            As it was before; None where there is no such successful trial.
        """
        wanted = and_(
            of_pair(workload_hash, device_class), Trial.candidate == candidate, Trial.cost_s.is_not(None)
        )
        text = canonical(with_release(versions))

        def work(connection: Connection) -> TrialRow | None:
            row = connection.execute(trials_joined(trace=False).where(wanted)).one_or_none()
            if row is None:
                return None
            values: dict[str, Any] = {
                "trial_id": row.trial_id,
                "toolchain_id": put_toolchains(connection, [text])[text],
                "kind": MeasurementKind.COMPARED.value,
                "counts": False,
                "state": TrialState.WRONG_OUTPUT.value,
                "times": [],
                "message": storable(f"{message}; it had been timed at {row.cost_s:.4g} s"),
                "device": storable(device),
                "host": storable(host),
                "build_s": 0.0,
                "run_s": 0.0,
                "token": row.token,
            }
            insert_measurements(connection, [values])
            return trial_row(row, trace=False)

        return self._database.write(work)

    def record_copies(self, trials: Sequence[TrialRow]) -> Copied:
        """Store trials of another store as they were recorded there, and return how much was new.

        Their numbers, and the campaigns they belonged to, are that store's own and stay there. A candidate
        that is stored for its workload and device class gets the measurements that it doesn't have.

        Raises
        ------
        NotFoundError
            A workload or device class isn't stored. Nothing was stored.
        ValueError
            A trial without a trace or measurements, or with one that is called ok without a time, or whose
            times are no numbers.
        """
        for trial in trials:
            check_copy(trial)
        copy = functools.partial(insert_copies, trials=trials)
        return self._database.write(copy) if trials else Copied()

    def lacking(self, trials: Sequence[TrialRow]) -> int:
        """Return how many measurements :meth:`record_copies` would add to trials that are stored."""
        return self._database.read(functools.partial(lacking, trials=trials))

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
        """Go through the trials in the order they were recorded, with traces and all measurements, by pages.

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

    def best(
        self,
        workload_hash: str,
        device_class: str | None = None,
        k: int = 1,
        *,
        toolchain: str | None = None,
        stale: bool = True,
    ) -> list[TrialRow]:
        """Return the ``k`` best trials of a workload on a device class, with traces.

        The fastest that were measured with the current toolchain, the fastest first; after them, where there
        are fewer than ``k``, the fastest stale ones. Without a device class: the ``k`` best of each, class by
        class, since times of two don't compare.

        Parameters
        ----------
        toolchain : str or None
            Key of the toolchain that is the current one for the asker; left out, what the device class is
            measured with. With a device class alone.
        stale : bool, optional
            Whether stale trials may be among them.
        """
        query = trials_joined(trace=True).where(Trial.cost_s.is_not(None))
        if device_class is None:
            rows = self._database.read(lambda c: c.execute(_of_each_class(query, workload_hash, k)).all())
            return [row for row in (trial_row(row, trace=True) for row in rows) if stale or not row.stale]
        current = toolchain_of(device_class) if toolchain is None else toolchain
        query = query.where(of_pair(workload_hash, device_class)).order_by(Trial.cost_s, Trial.id)
        old = is_stale(current)

        def work(connection: Connection) -> list[TrialRow]:
            found = best_rows(connection, query, old, k, stale=stale)
            return [
                replace(trial_row(row, trace=True), stale=is_old)
                for rows, is_old in zip(found, (False, True), strict=True)
                for row in rows
            ]

        return self._database.read(work)

    def best_for_model(
        self, model_id: int, device_class: str, engine_version: str, *, toolchain: str | None = None
    ) -> list[ModelTaskRow]:
        """Return every task of an extracted model, in the model's order, with its best trial on a device
        class: the fastest of the current toolchain, or else the fastest stale one.

        Parameters
        ----------
        toolchain : str or None
            As for :meth:`best`.

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
        best = best_id(here, ModelTask, DeviceClass, current=toolchain)
        tasks = (
            select(
                ModelTask.position,
                ModelTask.name,
                ModelTask.weight,
                ModelTask.workload_id,
                DeviceClass.name.label("device_class"),
                counted.scalar_subquery().label("stored"),
                counted.where(Trial.cost_s.is_(None)).scalar_subquery().label("failures"),
                counted.where(is_stale(toolchain)).scalar_subquery().label("stale_trials"),
                best.label("best_id"),
                DeviceClass.toolchain.label("current"),
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
        own = {"workload_hash", "workload_name", "device_class", "stale"}
        current = tasks.c.current if toolchain is None else toolchain
        columns = [c for c in trial_columns(trace=True) if c.key not in own]
        query = (
            select(
                tasks.c.position,
                tasks.c.name.label("task_name"),
                tasks.c.weight,
                tasks.c.device_class,
                tasks.c.stored,
                tasks.c.failures,
                tasks.c.stale_trials,
                is_stale(current).label("stale"),
                Workload.hash.label("workload_hash"),
                Workload.name.label("workload_name"),
                Workload.flops,
                *columns,
            )
            .select_from(tasks)
            .outerjoin(Workload, Workload.id == tasks.c.workload_id)
            .outerjoin(Trial, Trial.id == tasks.c.best_id)
            .outerjoin(Measurement, that_counts())
            .outerjoin(Toolchain, Toolchain.id == Measurement.toolchain_id)
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
                stale=row.stale_trials,
                best=None if row.trial_id is None else trial_row(row, trace=True),
            )
            for row in self._database.read(work)
            # An extraction without tasks is one row of nothing.
            if row.workload_hash is not None
        ]

    def _page(self, query: Select[Any]) -> list[TrialRow]:
        def work(connection: Connection) -> list[TrialRow]:
            rows = [trial_row(row, trace=True) for row in connection.execute(query)]
            of_trial = measurements_of(connection, (row.id for row in rows))
            return [replace(row, measurements=tuple(of_trial.get(row.id, ()))) for row in rows]

        return self._database.read(work)


def _of_each_class(query: Select[Any], workload_hash: str, k: int) -> Select[Any]:
    place = func.row_number().over(
        partition_by=Trial.device_class_id, order_by=(is_stale(), Trial.cost_s, Trial.id)
    )
    ranked = (
        select(Trial.id, place.label("place"))
        .join(Workload, Workload.id == Trial.workload_id)
        .join(DeviceClass, DeviceClass.id == Trial.device_class_id)
        .where(Workload.hash == workload_hash, Trial.cost_s.is_not(None))
        .subquery("ranked")
    )
    return (
        query.join(ranked, ranked.c.id == Trial.id)
        .where(ranked.c.place <= k)
        .order_by(DeviceClass.name, ranked.c.place)
    )
