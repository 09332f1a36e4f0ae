"""What kernels take inside their models."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, select

from orchestrator.storage._group import Group
from orchestrator.storage._ids import add_rows, device_class_id, workload_ids
from orchestrator.storage._inside_rows import insides_of_model
from orchestrator.storage._tables import DeviceClass, InsideTime
from orchestrator.storage.rows import Inside, NewInside

__all__ = ["Insides"]

_UNIQUE = ("model_id", "device_class_id", "workload_id")


class Insides(Group):
    """What each kernel took in the first library of its model that was looked into."""

    def put(self, model_id: int, device_class: str, seen: Mapping[str, NewInside]) -> int:
        """Store what was seen of a model, and return how much of that is new.

        What was seen first with the toolchain that the device class is measured with stays; what was seen
        with another goes.

        Parameters
        ----------
        seen : mapping of str to NewInside
            By the hash of the workload.

        Raises
        ------
        NotFoundError
            A workload or the device class isn't stored.
        """

        def work(connection: Connection) -> int:
            class_id = device_class_id(connection, device_class)
            workloads = workload_ids(connection, seen)
            toolchain = connection.execute(
                select(DeviceClass.toolchain).where(DeviceClass.id == class_id)
            ).scalar_one()
            connection.execute(
                delete(InsideTime).where(
                    InsideTime.model_id == model_id,
                    InsideTime.device_class_id == class_id,
                    InsideTime.toolchain != toolchain,
                )
            )
            rows = [
                {
                    "model_id": model_id,
                    "device_class_id": class_id,
                    "workload_id": workloads[workload],
                    "candidate": one.candidate,
                    "toolchain": toolchain,
                    "seconds": one.seconds,
                }
                for workload, one in seen.items()
            ]
            return add_rows(connection, InsideTime, _UNIQUE, rows)

        return self._database.write(work)

    def of_model(self, model_id: int, device_class: str) -> dict[str, Inside]:
        """Return what is known of a model on a device class, by the hash of the workload."""
        return self._database.read(lambda c: insides_of_model(c, model_id, device_class))
