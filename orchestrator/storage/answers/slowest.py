"""Where the time of a model goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Double,
    Select,
    and_,
    case,
    func,
    select,
)

from orchestrator.storage._group import Group
from orchestrator.storage._ids import (
    extraction_ids,
)
from orchestrator.storage._standing import best_id, is_stale
from orchestrator.storage._tables import (
    DeviceClass,
    ModelTask,
    Trial,
    Workload,
)
from orchestrator.storage.rows import (
    ModelShares,
    TaskShareRow,
)

__all__ = ["SlowestAnswer"]


class SlowestAnswer(Group):
    """Which tasks take the most of a model's time?"""

    def slowest(
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
            As :meth:`.Trials.best_for_model`.
        """

        def work(connection: Connection) -> Sequence[Any]:
            extraction_id, class_id = extraction_ids(connection, model_id, device_class, engine_version)
            return connection.execute(shares_of(extraction_id, class_id, limit)).all()

        rows = self._database.read(work)
        if not rows:
            return ModelShares(0, 0, 0.0, ())
        names = TaskShareRow.__dataclass_fields__
        tasks = tuple(
            TaskShareRow(**{name: row._mapping[name] for name in names} | {"stale": bool(row.stale)})
            for row in rows
        )
        first = rows[0]
        return ModelShares(
            first.tasks_total, first.tasks_timed, first.whole_s or 0.0, tasks, int(first.tasks_stale)
        )


def shares_of(extraction_id: int, class_id: int, limit: int | None) -> Select[Any]:
    """Select a model's tasks, the slowest first, each with its part of the sum of all."""
    here = and_(Trial.workload_id == ModelTask.workload_id, Trial.device_class_id == class_id)
    current = select(DeviceClass.toolchain).where(DeviceClass.id == class_id).scalar_subquery()
    best = best_id(here, ModelTask, current=current)
    stored = select(func.count(Trial.id)).where(here).correlate(ModelTask).scalar_subquery()
    tasks = (
        select(
            ModelTask.position,
            ModelTask.name,
            ModelTask.weight,
            ModelTask.workload_id,
            stored.label("trials"),
            best.label("best_id"),
        )
        .where(ModelTask.extraction_id == extraction_id)
        .subquery("tasks")
    )
    expected = Trial.cost_s * tasks.c.weight
    # Databases differ in where NULLs are sorted.
    order = (func.coalesce(expected, -1.0).desc(), tasks.c.position)
    # A model may consist of kernels too fast to time.
    whole = func.nullif(func.sum(expected).over(), 0.0, type_=Double)
    return (
        select(
            tasks.c.name,
            Workload.hash.label("workload_hash"),
            tasks.c.weight,
            Workload.flops,
            tasks.c.trials,
            Trial.cost_s.label("best_s"),
            Trial.id.label("trial_id"),
            Trial.created_at.label("recorded_at"),
            case((Trial.id.is_not(None) & is_stale(current), 1), else_=0).label("stale"),
            expected.label("expected_s"),
            (expected / whole).label("share"),
            case(
                (Trial.id.is_not(None), func.sum(expected).over(order_by=order, rows=(None, 0)) / whole)
            ).label("cumulative"),
            func.sum(case((Trial.id.is_not(None) & is_stale(current), 1), else_=0))
            .over()
            .label("tasks_stale"),
            func.count().over().label("tasks_total"),
            func.count(Trial.id).over().label("tasks_timed"),
            whole.label("whole_s"),
        )
        .select_from(tasks)
        .join(Workload, Workload.id == tasks.c.workload_id)
        .outerjoin(Trial, Trial.id == tasks.c.best_id)
        .order_by(*order)
        .limit(limit)
    )
