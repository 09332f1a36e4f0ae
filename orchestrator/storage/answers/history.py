"""How the best time of a workload, or the expected time of a model, went down."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Subquery,
    case,
    func,
    literal,
    or_,
    select,
)

from orchestrator.storage._group import Group
from orchestrator.storage._ids import (
    device_class_id,
    extraction_ids,
    workload_ids,
)
from orchestrator.storage._inside_rows import insides_of_model
from orchestrator.storage._tables import (
    DeviceClass,
    Measurement,
    ModelTask,
    Toolchain,
    Trial,
    Workload,
)
from orchestrator.storage.rows import (
    ImprovementRow,
    Inside,
    MeasurementKind,
)

__all__ = ["HistoryAnswer"]


class HistoryAnswer(Group):
    """When did it get faster, and by how much?"""

    def history(
        self, workload_hash: str, device_class: str, *, last: int | None = None
    ) -> list[ImprovementRow]:
        """Return the trials that were a workload's best when they were recorded, in that order.

        Of those that were measured with the current toolchain: times of others don't compare.

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
            return connection.execute(improvements_of(alone.subquery("tasks"), class_id, last=last)).all()

        return in_time(self._database.read(work))

    def model_history(
        self, model_id: int, device_class: str, engine_version: str, *, last: int | None = None
    ) -> list[ImprovementRow]:
        """Return the trials that bettered a model's expected time when they were recorded, in that order.

        What it is expected to take counts each task as it is inside the model, where that was looked into.

        Raises
        ------
        NotFoundError
            As :meth:`.Trials.best_for_model`.
        """

        def work(connection: Connection) -> tuple[Sequence[Any], dict[str, Inside]]:
            extraction_id, class_id = extraction_ids(connection, model_id, device_class, engine_version)
            tasks = select(ModelTask.workload_id, ModelTask.name, ModelTask.weight).where(
                ModelTask.extraction_id == extraction_id
            )
            rows = connection.execute(improvements_of(tasks.subquery("tasks"), class_id)).all()
            return rows, insides_of_model(connection, model_id, device_class)

        rows, insides = self._database.read(work)
        improvements = list(_inside(in_time(rows), insides))
        return improvements if last is None else improvements[-last:] if last else []


def _inside(rows: Sequence[ImprovementRow], insides: Mapping[str, Inside]) -> Iterator[ImprovementRow]:
    """Have what a model is expected to take count each task as it is inside it, where that is known."""
    calls_s: dict[str, float] = {}
    for row in rows:
        inside = insides.get(row.workload_hash)
        call_s = row.cost_s if inside is None else inside.expected_s(row.cost_s)
        calls_s[row.workload_hash] = row.weight * call_s
        yield replace(row, expected_s=math.fsum(calls_s.values()))


def improvements_of(
    tasks: Subquery, class_id: int, *, last: int | None = None, toolchain: str | None = None
) -> Select[Any]:
    """Select the trials that bettered one of `tasks` (workload_id, name, weight) on a device class.

    Trial ids grow with time. All that is read of the trials that improved nothing is in the index. What was
    measured anew with the toolchain is recorded when that was, later than its trial.

    Parameters
    ----------
    toolchain : str, optional
        Key of the one that they count with; the device class's current one if left out.
    """
    current: Any = toolchain
    if current is None:
        current = select(DeviceClass.toolchain).where(DeviceClass.id == class_id).scalar_subquery()
    seen = (
        select(
            Trial.id,
            Trial.cost_s,
            tasks.c.name,
            tasks.c.weight,
            func.row_number().over(order_by=Trial.id).label("trials"),
            func.min(Trial.cost_s)
            .over(partition_by=Trial.workload_id, order_by=Trial.id, rows=(None, -1))
            .label("before_s"),
        )
        .join(tasks, tasks.c.workload_id == Trial.workload_id)
        .where(Trial.device_class_id == class_id, Trial.toolchain == current)
        .subquery("seen")
    )
    anew = (
        select(func.min(Measurement.measured_at))
        .join(Toolchain, Toolchain.id == Measurement.toolchain_id)
        .where(
            Measurement.trial_id == seen.c.id,
            Measurement.kind == MeasurementKind.REVALIDATED.value,
            Toolchain.key == current,
        )
        .correlate(seen)
        .scalar_subquery()
    )
    gain = (seen.c.cost_s - func.coalesce(seen.c.before_s, 0.0)) * seen.c.weight
    first = case((seen.c.before_s.is_(None), 1), else_=0)
    return (
        select(
            seen.c.id.label("trial_id"),
            Workload.hash.label("workload_hash"),
            seen.c.name,
            seen.c.weight,
            seen.c.cost_s,
            seen.c.before_s,
            Trial.campaign_id,
            func.coalesce(anew, Trial.created_at).label("recorded_at"),
            seen.c.trials,
            func.sum(gain).over(order_by=seen.c.id, rows=(None, 0)).label("expected_s"),
            func.sum(first).over(order_by=seen.c.id, rows=(None, 0)).label("tasks_timed"),
        )
        .join(Trial, Trial.id == seen.c.id)
        .join(Workload, Workload.id == Trial.workload_id)
        .where(
            seen.c.cost_s.is_not(None),
            or_(seen.c.before_s.is_(None), seen.c.cost_s < seen.c.before_s),
        )
        .order_by(seen.c.id.desc())
        .limit(last)
    )


def in_time(rows: Sequence[Any]) -> list[ImprovementRow]:
    return [ImprovementRow(**row._mapping) for row in reversed(rows)]
