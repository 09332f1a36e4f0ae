"""Device classes: devices whose run times compare with each other."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Connection,
    select,
)

from orchestrator.errors import StorageError
from orchestrator.storage._group import Group
from orchestrator.storage._ids import (
    put_row,
    put_target,
)
from orchestrator.storage._tables import (
    DeviceClass,
    Target,
)
from orchestrator.storage.rows import (
    DeviceClassRow,
)
from workers.messages import (
    DeviceInfo,
)

__all__ = ["DeviceClasses"]


class DeviceClasses(Group):
    """Device classes. Written by anyone; to put one twice changes nothing."""

    def put(self, engine: str, info: DeviceInfo) -> int:
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

        return self._database.write(work)

    def find(self, name: str) -> DeviceClassRow | None:
        """Look a device class up; None where it isn't stored."""
        row = self._database.read(
            lambda c: c.execute(_device_classes().where(DeviceClass.name == name)).one_or_none()
        )
        return None if row is None else _device_class_row(row)

    def all(self, engine: str | None = None) -> list[DeviceClassRow]:
        """Return all device classes, of one engine where given, by name."""
        query = _device_classes().order_by(DeviceClass.name)
        if engine is not None:
            query = query.where(Target.engine == engine)
        return [_device_class_row(row) for row in self._database.read(lambda c: c.execute(query).all())]


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
