"""Extractions: the tasks of a model for a target, by a version of its engine."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Connection,
    case,
    func,
    select,
)

from orchestrator.errors import NotFoundError
from orchestrator.storage._group import Group
from orchestrator.storage._ids import (
    insert_row,
    put_target,
    storable,
    workload_ids,
)
from orchestrator.storage._tables import (
    DeviceClass,
    Model,
    ModelTask,
    Target,
    Trial,
    Workload,
)
from orchestrator.storage._tables import Extraction as ExtractionTable
from orchestrator.storage._types import insert_unless_there
from orchestrator.storage._workload_rows import insert_workloads, workload_message
from orchestrator.storage.rows import (
    LayoutRow,
    ModelDeviceRow,
)
from workers.messages import (
    Extraction,
    TaskSpec,
)

__all__ = ["Extractions"]


class Extractions(Group):
    """Tasks of models. Written by anyone; to put an extraction twice changes nothing."""

    def put(self, model_id: int, engine: str, target: str, extraction: Extraction) -> int:
        """Store the tasks of a model for a target, and their workloads; return the extraction's id.

        An extraction that is there already is left as it is. One without tasks is stored too.

        Raises
        ------
        NotFoundError
            No such model.
        """

        def work(connection: Connection) -> int:
            # Two who extract at once: SQLite has one wait for the other's transaction, PostgreSQL for this
            # row.
            model = select(Model.id).where(Model.id == model_id).with_for_update()
            if connection.execute(model).one_or_none() is None:
                raise NotFoundError(f"no model {model_id} is stored")
            target_id = put_target(connection, engine, target)
            same = (
                ExtractionTable.model_id == model_id,
                ExtractionTable.target_id == target_id,
                ExtractionTable.engine_version == extraction.engine_version,
            )
            there = connection.execute(select(ExtractionTable.id).where(*same)).scalar_one_or_none()
            if there is not None:
                return int(there)
            extraction_id = insert_row(
                connection,
                ExtractionTable,
                {
                    "model_id": model_id,
                    "target_id": target_id,
                    "engine_version": extraction.engine_version,
                    "layout": extraction.layout,
                    "layout_reason": extraction.layout_reason,
                    "alternative": extraction.alternative,
                    "estimate_s": extraction.estimate_s,
                    "alternative_s": extraction.alternative_s,
                },
            )
            _put_tasks(connection, extraction_id, extraction.tasks)
            return extraction_id

        return self._database.write(work)

    def find(self, model_id: int, engine: str, target: str, engine_version: str) -> Extraction | None:
        """Return the stored tasks of a model for a target, modules included; None where never extracted."""
        query = (
            select(
                ExtractionTable.layout,
                ExtractionTable.layout_reason,
                ExtractionTable.alternative,
                ExtractionTable.estimate_s,
                ExtractionTable.alternative_s,
                ModelTask.name.label("task_name"),
                ModelTask.weight,
                Workload.hash,
                Workload.engine,
                Workload.name,
                Workload.flops,
                Workload.module,
            )
            .select_from(ExtractionTable)
            .join(Target, Target.id == ExtractionTable.target_id)
            .outerjoin(ModelTask, ModelTask.extraction_id == ExtractionTable.id)
            .outerjoin(Workload, Workload.id == ModelTask.workload_id)
            .where(
                ExtractionTable.model_id == model_id,
                Target.engine == engine,
                Target.spec == target,
                ExtractionTable.engine_version == engine_version,
            )
            .order_by(ModelTask.position)
        )
        rows = self._database.read(lambda c: c.execute(query).all())
        if not rows:
            return None
        tasks = tuple(
            TaskSpec(row.task_name, row.weight, workload_message(row)) for row in rows if row.hash is not None
        )
        first = rows[0]
        return Extraction(
            tasks,
            engine_version,
            first.layout,
            first.layout_reason,
            first.alternative,
            first.estimate_s,
            first.alternative_s,
        )

    def layouts(self, model_id: int, engine: str) -> list[LayoutRow]:
        """Return in which layouts a model was extracted, on each device class, the first one first."""
        query = (
            select(
                DeviceClass.name.label("device_class"),
                ExtractionTable.engine_version,
                ExtractionTable.layout,
                ExtractionTable.layout_reason.label("reason"),
                ExtractionTable.alternative,
            )
            .join(Target, Target.id == ExtractionTable.target_id)
            .join(DeviceClass, DeviceClass.target_id == Target.id)
            .where(ExtractionTable.model_id == model_id, Target.engine == engine)
            .order_by(ExtractionTable.id)
        )
        return [LayoutRow(**row._mapping) for row in self._database.read(lambda c: c.execute(query).all())]

    def versions(self, model_id: int, engine: str, target: str) -> list[str]:
        """Return what the stored extractions of a model for a target are bound to, the first one first."""
        query = (
            select(ExtractionTable.engine_version)
            .join(Target, Target.id == ExtractionTable.target_id)
            .where(ExtractionTable.model_id == model_id, Target.engine == engine, Target.spec == target)
            .order_by(ExtractionTable.id)
        )
        return list(self._database.read(lambda c: c.scalars(query).all()))

    def device_classes(self, model_id: int) -> list[ModelDeviceRow]:
        """Return the device classes a model was extracted for, as it was last, by name."""
        timed = select(Trial.id).where(
            Trial.workload_id == ModelTask.workload_id,
            Trial.device_class_id == DeviceClass.id,
            Trial.cost_s.is_not(None),
        )
        latest = (
            select(func.max(ExtractionTable.id).label("id"))
            .where(ExtractionTable.model_id == model_id)
            .group_by(ExtractionTable.target_id)
            .subquery("latest")
        )
        query = (
            select(
                DeviceClass.name.label("device_class"),
                Target.engine,
                ExtractionTable.engine_version,
                func.count(ModelTask.id).label("tasks"),
                func.coalesce(func.sum(case((timed.exists(), 1), else_=0)), 0).label("tasks_timed"),
            )
            .select_from(latest)
            .join(ExtractionTable, ExtractionTable.id == latest.c.id)
            .join(Target, Target.id == ExtractionTable.target_id)
            .join(DeviceClass, DeviceClass.target_id == Target.id)
            .outerjoin(ModelTask, ModelTask.extraction_id == ExtractionTable.id)
            .group_by(DeviceClass.name, Target.engine, ExtractionTable.engine_version)
            .order_by(DeviceClass.name)
        )
        return [
            ModelDeviceRow(**row._mapping) for row in self._database.read(lambda c: c.execute(query).all())
        ]


def _put_tasks(connection: Connection, extraction_id: int, tasks: tuple[TaskSpec, ...]) -> None:
    if not tasks:
        return
    insert_workloads(connection, [task.workload for task in tasks])
    ids = workload_ids(connection, [task.workload.hash for task in tasks])
    tasks_table: Any = ModelTask.__table__
    connection.execute(
        insert_unless_there(tasks_table, connection.dialect.name, ("extraction_id", "workload_id")),
        [
            {
                "extraction_id": extraction_id,
                "position": position,
                "name": storable(task.name),
                "weight": task.weight,
                "workload_id": ids[task.workload.hash],
            }
            for position, task in enumerate(tasks)
        ],
    )
