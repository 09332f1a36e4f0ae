"""What is tuned and what for: models, workloads, extractions, device classes, devices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Select, select, update

from orchestrator.errors import NotFoundError, StorageError
from orchestrator.storage._database import Database
from orchestrator.storage._lookup import device_class_ids, insert_row, put_row, put_target, storable
from orchestrator.storage._lookup import workload_ids as ids_of_workloads
from orchestrator.storage._models import Device, DeviceClass, Model, ModelTask, Target, Workload
from orchestrator.storage._models import Extraction as ExtractionTable
from orchestrator.storage._types import db_now, insert_unless_there
from orchestrator.storage.rows import DeviceClassRow, DeviceRow, ModelRow, Sighting, WorkloadRow
from workers.messages import DeviceInfo, Extraction, PreparedModel, TaskSpec, TensorSpec
from workers.messages import Workload as WorkloadMessage

__all__ = ["Catalog"]


class Catalog(Database):
    """Models, workloads, extractions and devices. All ``put_*`` may be repeated: the second changes
    nothing."""

    def put_model(self, model: PreparedModel, path: str, shapes_key: str = "") -> int:
        """Store a prepared model (not its bytes) and return its id.

        Parameters
        ----------
        path : str
            Where the file was; a known model remembers the last place.
        shapes_key : str
            Names the input shapes that were asked for: other shapes make another model.
        """
        values = {
            "sha256": model.sha256,
            "shapes_key": shapes_key,
            "name": storable(model.name),
            "path": storable(path),
            "inputs": [_tensor_json(t) for t in model.inputs],
            "outputs": [_tensor_json(t) for t in model.outputs],
            "changes": [storable(change) for change in model.changes],
        }

        def work(connection: Connection) -> int:
            model_id = put_row(connection, Model, ("sha256", "shapes_key"), values)
            connection.execute(
                update(Model)
                .where(Model.id == model_id, Model.path != values["path"])
                .values(path=values["path"], name=values["name"])
            )
            return model_id

        return self._write(work)

    def find_model(self, sha256: str, shapes_key: str = "") -> ModelRow | None:
        """Look a model up by what it is; None where it isn't stored."""
        query = _models().where(Model.sha256 == sha256, Model.shapes_key == shapes_key)
        row = self._read(lambda c: c.execute(query).one_or_none())
        return None if row is None else _model_row(row)

    def models_of_file(self, sha256: str) -> list[ModelRow]:
        """Return what a file was stored as: a model for each of the input shapes that were asked for."""
        query = _models().where(Model.sha256 == sha256).order_by(Model.id)
        return [_model_row(row) for row in self._read(lambda c: c.execute(query).all())]

    def get_model(self, model_id: int) -> ModelRow:
        """Return a model; :class:`NotFoundError` where there is none of that id."""
        row = self._read(lambda c: c.execute(_models().where(Model.id == model_id)).one_or_none())
        if row is None:
            raise NotFoundError(f"no model {model_id} is stored")
        return _model_row(row)

    def put_device_class(self, engine: str, info: DeviceInfo) -> int:
        """Store what makes run times on a device comparable, and return its id.

        Raises
        ------
        StorageError
            The class's name stands for another target, device model or number of cores: its stored times
            would be compared with times that mean something else.
        """
        wanted = (engine, info.target, info.model, info.cores, info.kind)

        def work(connection: Connection) -> int:
            values = {
                "name": info.device_class,
                "target_id": put_target(connection, engine, info.target),
                "model": info.model,
                "cores": info.cores,
                "kind": info.kind,
            }
            class_id = put_row(connection, DeviceClass, ("name",), values)
            found = connection.execute(_device_classes().where(DeviceClass.id == class_id)).one()
            if (found.engine, found.spec, found.model, found.cores, found.kind) != wanted:
                raise StorageError(
                    f"the device class {info.device_class} is stored as {found.engine} target "
                    f"{found.spec!r} on {found.model} ({found.cores} cores), and can't also be "
                    f"{engine} target {info.target!r} on {info.model} ({info.cores} cores)"
                )
            return class_id

        return self._write(work)

    def find_device_class(self, name: str) -> DeviceClassRow | None:
        """Look a device class up; None where it isn't stored."""
        row = self._read(lambda c: c.execute(_device_classes().where(DeviceClass.name == name)).one_or_none())
        return None if row is None else _device_class_row(row)

    def device_classes(self, engine: str | None = None) -> list[DeviceClassRow]:
        """Return all device classes, of one engine where given, by name."""
        query = _device_classes().order_by(DeviceClass.name)
        if engine is not None:
            query = query.where(Target.engine == engine)
        return [_device_class_row(row) for row in self._read(lambda c: c.execute(query).all())]

    def see_devices(self, sightings: Sequence[Sighting]) -> None:
        """Note how devices stand now, all in one transaction, by whoever measures on them.

        Raises
        ------
        NotFoundError
            The device class of one isn't stored yet.
        """

        def work(connection: Connection) -> None:
            classes = device_class_ids(connection, (seen.info.device_class for seen in sightings))
            for seen in sightings:
                values: dict[str, Any] = {
                    "key": seen.key,
                    "host": seen.host,
                    "device_class_id": classes[seen.info.device_class],
                    "versions": dict(seen.info.versions),
                    "state": seen.state,
                    "message": storable(seen.message),
                }
                if seen.trials_per_hour is not None:
                    values["trials_per_hour"] = seen.trials_per_hour
                device_id = put_row(connection, Device, ("key", "host"), values)
                connection.execute(
                    update(Device).where(Device.id == device_id).values(**values, last_seen_at=db_now())
                )

        if sightings:
            self._write(work)

    def devices(self) -> list[DeviceRow]:
        """Return every device ever seen, the latest first."""
        query = (
            select(
                Device.id,
                Device.key,
                Device.host,
                DeviceClass.name.label("device_class"),
                Device.versions,
                Device.last_seen_at,
                Device.state,
                Device.message,
                Device.trials_per_hour,
                DeviceClass.model,
            )
            .join(DeviceClass, DeviceClass.id == Device.device_class_id)
            .order_by(Device.last_seen_at.desc(), Device.id)
        )
        return [DeviceRow(**row._mapping) for row in self._read(lambda c: c.execute(query).all())]

    def put_extraction(self, model_id: int, engine: str, target: str, extraction: Extraction) -> int:
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
                },
            )
            self._put_tasks(connection, extraction_id, extraction.tasks)
            return extraction_id

        return self._write(work)

    def put_workloads(self, workloads: Sequence[WorkloadMessage]) -> None:
        """Store workloads that belong to no model's tasks."""
        if workloads:
            self._write(lambda connection: self._insert_workloads(connection, workloads))

    def _insert_workloads(self, connection: Connection, workloads: Iterable[WorkloadMessage]) -> None:
        # In the order of the hashes, so that two who insert the same workloads can't lock each other out.
        distinct = {w.hash: w for w in workloads}
        table: Any = Workload.__table__
        connection.execute(
            insert_unless_there(table, self._dialect, ("hash",)),
            [
                {
                    "hash": w.hash,
                    "engine": w.engine,
                    "name": storable(w.name),
                    "flops": w.flops,
                    "module": w.module,
                }
                for _, w in sorted(distinct.items())
            ],
        )

    def _put_tasks(self, connection: Connection, extraction_id: int, tasks: tuple[TaskSpec, ...]) -> None:
        if not tasks:
            return
        self._insert_workloads(connection, [task.workload for task in tasks])
        ids = ids_of_workloads(connection, [task.workload.hash for task in tasks])
        tasks_table: Any = ModelTask.__table__
        connection.execute(
            insert_unless_there(tasks_table, self._dialect, ("extraction_id", "workload_id")),
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

    def get_extraction(
        self, model_id: int, engine: str, target: str, engine_version: str
    ) -> Extraction | None:
        """Return the stored tasks of a model for a target, modules included; None where never extracted."""
        query = (
            select(
                ExtractionTable.id,
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
        rows = self._read(lambda c: c.execute(query).all())
        if not rows:
            return None
        tasks = tuple(
            TaskSpec(row.task_name, row.weight, _workload_message(row))
            for row in rows
            if row.hash is not None
        )
        return Extraction(tasks=tasks, engine_version=engine_version)

    def extraction_versions(self, model_id: int, engine: str, target: str) -> list[str]:
        """Return what the stored extractions of a model for a target are bound to, the first one first."""
        query = (
            select(ExtractionTable.engine_version)
            .join(Target, Target.id == ExtractionTable.target_id)
            .where(ExtractionTable.model_id == model_id, Target.engine == engine, Target.spec == target)
            .order_by(ExtractionTable.id)
        )
        return list(self._read(lambda c: c.scalars(query).all()))

    def get_workload(self, workload_hash: str) -> WorkloadMessage:
        """Return a workload with its module; :class:`NotFoundError` where it isn't stored."""
        query = select(Workload.hash, Workload.engine, Workload.name, Workload.flops, Workload.module).where(
            Workload.hash == workload_hash
        )
        row = self._read(lambda c: c.execute(query).one_or_none())
        if row is None:
            raise NotFoundError(f"no workload {workload_hash} is stored")
        return _workload_message(row)

    def find_workloads(self, prefix: str = "", *, limit: int = 100) -> list[WorkloadRow]:
        """Return the workloads whose hash starts with ``prefix``, by hash."""
        query = (
            select(
                Workload.id,
                Workload.hash,
                Workload.engine,
                Workload.name,
                Workload.flops,
                Workload.created_at,
            )
            .where(Workload.hash.startswith(prefix, autoescape=True))
            .order_by(Workload.hash)
            .limit(limit)
        )
        return [WorkloadRow(**row._mapping) for row in self._read(lambda c: c.execute(query).all())]

    def find_workload(self, prefix: str) -> WorkloadRow:
        """Return the one workload whose hash is, or starts with, ``prefix``.

        Raises
        ------
        NotFoundError
            None does, or several do; the text lists some.
        """
        found = self.find_workloads(prefix, limit=6) if prefix else []
        exact = [row for row in found if row.hash == prefix]
        if exact or len(found) == 1:
            return (exact or found)[0]
        if not found:
            raise NotFoundError(f"no workload whose hash starts with {prefix!r} is stored")
        several = ", ".join(f"{row.hash[: len(prefix) + 6]} ({row.name})" for row in found[:5])
        raise NotFoundError(f"{prefix!r} starts the hash of several workloads: {several}; give more of it")


def _models() -> Select[Any]:
    return select(*Model.__table__.c)


def _device_classes() -> Any:
    return select(
        DeviceClass.id,
        DeviceClass.name,
        Target.engine,
        Target.spec,
        DeviceClass.model,
        DeviceClass.cores,
        DeviceClass.kind,
    ).join(Target, Target.id == DeviceClass.target_id)


def _device_class_row(row: Any) -> DeviceClassRow:
    return DeviceClassRow(row.id, row.name, row.engine, row.spec, row.model, row.cores, row.kind)


def _model_row(row: Any) -> ModelRow:
    return ModelRow(
        id=row.id,
        sha256=row.sha256,
        shapes_key=row.shapes_key,
        name=row.name,
        path=row.path,
        inputs=tuple(_tensor(t) for t in row.inputs),
        outputs=tuple(_tensor(t) for t in row.outputs),
        changes=tuple(row.changes),
        created_at=row.created_at,
    )


def _workload_message(row: Any) -> WorkloadMessage:
    return WorkloadMessage(row.hash, row.engine, row.name, row.flops, row.module)


def _tensor_json(tensor: TensorSpec) -> dict[str, Any]:
    return {"name": storable(tensor.name), "shape": list(tensor.shape), "dtype": tensor.dtype}


def _tensor(value: dict[str, Any]) -> TensorSpec:
    return TensorSpec(value["name"], tuple(value["shape"]), value["dtype"])
