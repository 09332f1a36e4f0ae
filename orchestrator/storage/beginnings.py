"""How fast models were when campaigns began with them."""

from __future__ import annotations

from sqlalchemy import Connection, select

from orchestrator.storage._campaign_rows import require_lease
from orchestrator.storage._group import Group
from orchestrator.storage._ids import device_class_id, put_row
from orchestrator.storage._tables import Beginning, DeviceClass
from orchestrator.storage.rows import BeginningRow, NewBeginning

__all__ = ["Beginnings"]

_UNIQUE = ("campaign_id", "model_id", "device_class_id")


class Beginnings(Group):
    """Where the curve of a campaign's models begins, and what they are held against."""

    def put(self, campaign_id: int, beginning: NewBeginning, *, owner: str) -> None:
        """Store how fast a model was when a campaign began; that of its first run counts.

        Raises
        ------
        LeaseLostError
            ``owner`` doesn't hold the campaign's lease.
        NotFoundError
            The device class isn't stored.
        """

        def work(connection: Connection) -> None:
            require_lease(connection, campaign_id, owner)
            values = {
                "campaign_id": campaign_id,
                "model_id": beginning.model_id,
                "device_class_id": device_class_id(connection, beginning.device_class),
                "library_s": beginning.library_s,
                "reference_s": beginning.reference_s,
            }
            put_row(connection, Beginning, _UNIQUE, values)

        self._database.write(work)

    def of_campaign(self, campaign_id: int) -> list[BeginningRow]:
        """Return what is stored of a campaign, in the order in which it was."""
        table = Beginning.__table__.c
        columns = [c for c in table if c.key not in ("id", "device_class_id")]
        query = (
            select(*columns, DeviceClass.name.label("device_class"))
            .join(DeviceClass, DeviceClass.id == Beginning.device_class_id)
            .where(Beginning.campaign_id == campaign_id)
            .order_by(Beginning.id)
        )
        rows = self._database.read(lambda c: c.execute(query).all())
        return [BeginningRow(**row._mapping) for row in rows]
