"""How trials failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    func,
    select,
)
from sqlalchemy import distinct as different

from orchestrator.storage._group import Group
from orchestrator.storage._standing import that_counts
from orchestrator.storage._tables import (
    DeviceClass,
    Extraction,
    Measurement,
    ModelTask,
    Target,
    Trial,
    Workload,
)
from orchestrator.storage.rows import (
    DeviceClassFailures,
    FailureRow,
)
from workers.messages import (
    TrialState,
)

__all__ = ["FailuresAnswer"]


class FailuresAnswer(Group):
    """How did trials fail, and how many?"""

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

        trials_of, rows = self._database.read(work)
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


def failures_of(wanted: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """Select how trials failed: a row for each device class and state, the most frequent first."""
    failed = (
        select(
            Trial.device_class_id,
            Trial.state,
            Measurement.message,
            Trial.workload_id,
            Trial.id,
            Trial.created_at,
        )
        .join(Measurement, that_counts())
        .where(*wanted, Trial.cost_s.is_(None))
        .cte("failed")
    )
    kind = (failed.c.device_class_id, failed.c.state)
    totals = (
        select(
            *kind,
            func.count().label("trials"),
            func.count(different(failed.c.workload_id)).label("workloads"),
            func.max(failed.c.created_at).label("last_at"),
        )
        .group_by(*kind)
        .subquery("totals")
    )
    said = (
        select(*kind, failed.c.message, func.count().label("trials"), func.max(failed.c.id).label("last_id"))
        .group_by(*kind, failed.c.message)
        .subquery("said")
    )
    place = func.row_number().over(
        partition_by=(said.c.device_class_id, said.c.state),
        order_by=(said.c.trials.desc(), said.c.last_id.desc()),
    )
    most = select(said, place.label("place")).subquery("most")
    return (
        select(
            DeviceClass.name.label("device_class"),
            totals.c.state,
            totals.c.trials,
            totals.c.workloads,
            totals.c.last_at,
            most.c.message,
            most.c.trials.label("message_trials"),
        )
        .select_from(totals)
        .join(
            most,
            and_(
                most.c.device_class_id == totals.c.device_class_id,
                most.c.state == totals.c.state,
                most.c.place == 1,
            ),
        )
        .join(DeviceClass, DeviceClass.id == totals.c.device_class_id)
        .order_by(DeviceClass.name, totals.c.trials.desc(), totals.c.state)
    )
