"""Where models' time goes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from orchestrator.storage._group import Group
from orchestrator.storage._ids import device_class_id, insert_row
from orchestrator.storage._tables import DeviceClass, ModelProfile
from orchestrator.storage.rows import ProfileRow

__all__ = ["Profiles"]


class Profiles(Group):
    """What was seen of models' libraries from inside, and of onnxruntime beside them."""

    def add(self, model_id: int, device_class: str, document: dict[str, Any]) -> int:
        """Store what ``tunefleet profile`` found, and return the number of that.

        Parameters
        ----------
        document : dict
            Of plain values; see :func:`orchestrator.documents.profile.profile_document`.

        Raises
        ------
        NotFoundError
            The device class isn't stored.
        """

        def work(connection: Connection) -> int:
            values = {
                "model_id": model_id,
                "device_class_id": device_class_id(connection, device_class),
                "document": document,
            }
            return insert_row(connection, ModelProfile, values)

        return self._database.write(work)

    def latest(self, model_id: int, device_class: str) -> ProfileRow | None:
        """Return what was seen last of a model on a device class; None where nobody looked."""
        table = ModelProfile.__table__.c
        query = (
            select(table.id, table.model_id, DeviceClass.name, table.document, table.created_at)
            .join(DeviceClass, DeviceClass.id == ModelProfile.device_class_id)
            .where(ModelProfile.model_id == model_id, DeviceClass.name == device_class)
            .order_by(ModelProfile.id.desc())
            .limit(1)
        )
        row = self._database.read(lambda c: c.execute(query).first())
        return None if row is None else ProfileRow(*row)
