"""What people ask of the stored trials; answered in SQL, so that no answer loads trials it doesn't show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, literal, or_, select

from orchestrator.errors import NotFoundError
from orchestrator.storage._database import Database
from orchestrator.storage._lookup import device_class_id, workload_ids
from orchestrator.storage._models import DeviceClass, Extraction, ModelTask, Target, Trial, Workload
from orchestrator.storage.answers.best import best_id
from orchestrator.storage.answers.failures import failures_of
from orchestrator.storage.answers.history import improvements_of, in_time
from orchestrator.storage.answers.slowest import shares_of
from orchestrator.storage.rows import (
    BestOrder,
    BestRow,
    DeviceClassFailures,
    FailureRow,
    ImprovementRow,
    ModelDeviceRow,
    ModelShares,
    TaskShareRow,
)
from workers.messages import TrialState

__all__ = ["Questions"]


class Questions(Database):
    """Questions about the trials, for anyone to ask.

    Times are compared within a device class and nowhere else.
    """

    def stored_best(
        self,
        *,
        device_class: str | None = None,
        engine: str | None = None,
        workload_prefix: str = "",
        name_pattern: str | None = None,
        order: BestOrder = BestOrder.LATEST,
        limit: int | None = None,
    ) -> list[BestRow]:
        """Return the best of each workload on each device class, where a trial succeeded.

        Parameters
        ----------
        workload_prefix : str
            Only workloads whose hash starts so.
        name_pattern : str or None
            Only workloads in whose name, or in whose name as a task of any model, this regular expression is
            found. SQLite has Python's, PostgreSQL its own.
        order : BestOrder
        limit : int or None
            The first of that order.
        """
        # One step down the index for each workload and class: nothing here grows with the number of trials.
        pairs = (
            select(best_id().label("best_id"))
            .select_from(Workload)
            .join(Target, Target.engine == Workload.engine)
            .join(DeviceClass, DeviceClass.target_id == Target.id)
        )
        if device_class is not None:
            pairs = pairs.where(DeviceClass.name == device_class)
        if engine is not None:
            pairs = pairs.where(Workload.engine == engine)
        if workload_prefix:
            pairs = pairs.where(Workload.hash.startswith(workload_prefix, autoescape=True))
        if name_pattern is not None:
            in_a_model = select(ModelTask.id).where(
                ModelTask.workload_id == Workload.id, ModelTask.name.regexp_match(name_pattern)
            )
            pairs = pairs.where(or_(Workload.name.regexp_match(name_pattern), in_a_model.exists()))
        best = pairs.subquery("best")
        by = {
            BestOrder.LATEST: (Trial.id.desc(),),
            BestOrder.NAME: (Workload.name, Workload.hash, DeviceClass.name),
            BestOrder.SLOWEST: (Trial.cost_s.desc(), Trial.id),
        }[order]
        first = (
            select(
                Workload.name,
                Workload.hash.label("workload_hash"),
                Workload.engine,
                Workload.flops,
                DeviceClass.name.label("device_class"),
                Trial.cost_s.label("best_s"),
                Trial.id.label("trial_id"),
                Trial.campaign_id,
                Trial.created_at.label("recorded_at"),
                Trial.workload_id,
                Trial.device_class_id,
                func.row_number().over(order_by=by).label("place"),
            )
            .select_from(best)
            .join(Trial, Trial.id == best.c.best_id)
            .join(Workload, Workload.id == Trial.workload_id)
            .join(DeviceClass, DeviceClass.id == Trial.device_class_id)
            .order_by(*by)
            .limit(limit)
            .subquery("first")
        )
        # Counted after the limit, for the rows that are shown.
        counted = select(func.count(Trial.id)).where(
            Trial.workload_id == first.c.workload_id, Trial.device_class_id == first.c.device_class_id
        )
        unseen = {"place", "workload_id", "device_class_id"}
        query = select(
            *(column for column in first.c if column.key not in unseen),
            counted.correlate(first).scalar_subquery().label("trials"),
            counted.where(Trial.cost_s.is_(None)).correlate(first).scalar_subquery().label("failures"),
        ).order_by(first.c.place)
        return [BestRow(**row._mapping) for row in self._read(lambda c: c.execute(query).all())]

    def model_devices(self, model_id: int) -> list[ModelDeviceRow]:
        """Return the device classes a model was extracted for, as it was last, by name."""
        timed = select(Trial.id).where(
            Trial.workload_id == ModelTask.workload_id,
            Trial.device_class_id == DeviceClass.id,
            Trial.cost_s.is_not(None),
        )
        latest = (
            select(func.max(Extraction.id).label("id"))
            .where(Extraction.model_id == model_id)
            .group_by(Extraction.target_id)
            .subquery("latest")
        )
        query = (
            select(
                DeviceClass.name.label("device_class"),
                Target.engine,
                Extraction.engine_version,
                func.count(ModelTask.id).label("tasks"),
                func.coalesce(func.sum(case((timed.exists(), 1), else_=0)), 0).label("tasks_timed"),
            )
            .select_from(latest)
            .join(Extraction, Extraction.id == latest.c.id)
            .join(Target, Target.id == Extraction.target_id)
            .join(DeviceClass, DeviceClass.target_id == Target.id)
            .outerjoin(ModelTask, ModelTask.extraction_id == Extraction.id)
            .group_by(DeviceClass.name, Target.engine, Extraction.engine_version)
            .order_by(DeviceClass.name)
        )
        return [ModelDeviceRow(**row._mapping) for row in self._read(lambda c: c.execute(query).all())]

    def workload_devices(self, workload_hash: str) -> list[str]:
        """Return the names of the device classes that a workload has trials on, failed ones too."""
        there = select(Trial.id).where(
            Trial.workload_id == Workload.id, Trial.device_class_id == DeviceClass.id
        )
        query = (
            select(DeviceClass.name)
            .join(Workload, Workload.hash == workload_hash)
            .where(there.exists())
            .order_by(DeviceClass.name)
        )
        return list(self._read(lambda c: c.scalars(query).all()))

    def improvements(
        self, workload_hash: str, device_class: str, *, last: int | None = None
    ) -> list[ImprovementRow]:
        """Return the trials that were a workload's best when they were recorded, in that order.

        Parameters
        ----------
        last : int or None
            The last so many of them.

        Raises
        ------
        NotFoundError
            The workload or the device class isn't stored.
        """

        def work(connection: Connection) -> Sequence[Any]:
            workload_id = workload_ids(connection, [workload_hash])[workload_hash]
            class_id = device_class_id(connection, device_class)
            alone = select(Workload.id.label("workload_id"), Workload.name, literal(1).label("weight")).where(
                Workload.id == workload_id
            )
            return connection.execute(improvements_of(alone.subquery("tasks"), class_id, last)).all()

        return in_time(self._read(work))

    def model_improvements(
        self, model_id: int, device_class: str, engine_version: str, *, last: int | None = None
    ) -> list[ImprovementRow]:
        """Return the trials that bettered a model's expected time when they were recorded, in that order.

        Raises
        ------
        NotFoundError
            As :meth:`Storage.best_for_model`.
        """

        def work(connection: Connection) -> Sequence[Any]:
            extraction_id, class_id = _extraction(connection, model_id, device_class, engine_version)
            tasks = select(ModelTask.workload_id, ModelTask.name, ModelTask.weight).where(
                ModelTask.extraction_id == extraction_id
            )
            return connection.execute(improvements_of(tasks.subquery("tasks"), class_id, last)).all()

        return in_time(self._read(work))

    def slowest_tasks(
        self, model_id: int, device_class: str, engine_version: str, *, limit: int | None = None
    ) -> ModelShares:
        """Return where a model's time goes on a device class, by the best times that are stored.

        Parameters
        ----------
        limit : int or None
            Return the slowest so many tasks.

        Raises
        ------
        NotFoundError
            As :meth:`Storage.best_for_model`.
        """

        def work(connection: Connection) -> Sequence[Any]:
            extraction_id, class_id = _extraction(connection, model_id, device_class, engine_version)
            return connection.execute(shares_of(extraction_id, class_id, limit)).all()

        rows = self._read(work)
        if not rows:
            return ModelShares(0, 0, 0.0, ())
        names = TaskShareRow.__dataclass_fields__
        tasks = tuple(TaskShareRow(**{name: row._mapping[name] for name in names}) for row in rows)
        return ModelShares(rows[0].tasks_total, rows[0].tasks_timed, rows[0].whole_s or 0.0, tasks)

    def failures(
        self,
        *,
        device_class: str | None = None,
        engine: str | None = None,
        workload_hash: str | None = None,
        model_id: int | None = None,
        campaign_id: int | None = None,
    ) -> list[DeviceClassFailures]:
        """Count how trials failed, for each device class that has trials, by name.

        Parameters
        ----------
        model_id : int or None
            Only workloads of that model, as it was extracted by any version of the engine.
        campaign_id : int or None
            Only trials which that campaign measured.
        """
        workloads = select(Workload.id)
        if workload_hash is not None:
            workloads = workloads.where(Workload.hash == workload_hash)
        if model_id is not None:
            workloads = workloads.where(
                Workload.id.in_(
                    select(ModelTask.workload_id)
                    .join(Extraction, Extraction.id == ModelTask.extraction_id)
                    .where(Extraction.model_id == model_id)
                )
            )
        devices = select(DeviceClass.id).join(Target, Target.id == DeviceClass.target_id)
        if device_class is not None:
            devices = devices.where(DeviceClass.name == device_class)
        if engine is not None:
            devices = devices.where(Target.engine == engine)
        # All of them, where none was named: this way there is but one table to search, and SQLite can't take
        # the way through all trials with their traces. By index, a workload's failures are side by side.
        wanted: list[ColumnElement[bool]] = [
            Trial.workload_id.in_(workloads),
            Trial.device_class_id.in_(devices),
        ]
        if campaign_id is not None:
            wanted.append(Trial.campaign_id == campaign_id)
        counted = (
            select(Trial.device_class_id, func.count().label("trials"))
            .where(*wanted)
            .group_by(Trial.device_class_id)
            .subquery("counted")
        )
        totals = (
            select(DeviceClass.name, counted.c.trials)
            .join(counted, counted.c.device_class_id == DeviceClass.id)
            .order_by(DeviceClass.name)
        )
        failed = failures_of(wanted)

        def work(connection: Connection) -> tuple[Sequence[Any], Sequence[Any]]:
            return connection.execute(totals).all(), connection.execute(failed).all()

        trials_of, rows = self._read(work)
        found = []
        for name, trials in trials_of:
            classes = tuple(
                FailureRow(
                    state=TrialState(row.state),
                    trials=row.trials,
                    share=row.trials / trials,
                    workloads=row.workloads,
                    message=row.message,
                    message_trials=row.message_trials,
                    last_at=row.last_at,
                )
                for row in rows
                if row.device_class == name
            )
            found.append(DeviceClassFailures(name, trials, sum(one.trials for one in classes), classes))
        return found


def _extraction(
    connection: Connection, model_id: int, device_class: str, engine_version: str
) -> tuple[int, int]:
    """Ids of an extraction and of the device class it was asked for."""
    query = (
        select(Extraction.id, DeviceClass.id)
        .join(DeviceClass, DeviceClass.target_id == Extraction.target_id)
        .where(
            Extraction.model_id == model_id,
            Extraction.engine_version == engine_version,
            DeviceClass.name == device_class,
        )
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        device_class_id(connection, device_class)
        raise NotFoundError(
            f"model {model_id} was not extracted for {device_class} by version {engine_version}"
        )
    return row[0], row[1]
