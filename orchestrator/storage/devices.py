"""Single devices, and how each stood when it was last seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    select,
    update,
)

from orchestrator.storage._group import Group
from orchestrator.storage._ids import (
    device_class_ids,
    put_row,
    storable,
)
from orchestrator.storage._tables import (
    Device,
    DeviceClass,
)
from orchestrator.storage._types import db_now
from orchestrator.storage.rows import (
    DeviceRow,
    Sighting,
)

__all__ = ["Devices"]


class Devices(Group):
    """Devices that were ever seen. Written by whoever measures on them."""

    def see(self, sightings: Sequence[Sighting]) -> None:
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
            self._database.write(work)

    def all(self) -> list[DeviceRow]:
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
        return [DeviceRow(**row._mapping) for row in self._database.read(lambda c: c.execute(query).all())]
