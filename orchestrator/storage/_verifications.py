"""Verifications: a built model's latencies and its distance from the reference."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from orchestrator.storage._database import Database
from orchestrator.storage._lookup import device_class_id, insert_row
from orchestrator.storage._models import DeviceClass, Verification
from orchestrator.storage.rows import NewVerification, VerificationRow

__all__ = ["Verifications"]


class Verifications(Database):
    """Verifications. Anyone who built and compared a model may write one."""

    def put_verification(self, verification: NewVerification) -> int:
        """Store a verification and return its id.

        Raises
        ------
        NotFoundError
            Its device class isn't stored.
        """
        values = dict(vars(verification))
        values["details"] = dict(verification.details)
        device_class = values.pop("device_class")

        def work(connection: Connection) -> int:
            class_id = device_class_id(connection, device_class)
            return insert_row(connection, Verification, {**values, "device_class_id": class_id})

        return self._write(work)

    def latest_verification(self, model_id: int, device_class: str) -> VerificationRow | None:
        """Return the last verification of a model on a device class."""
        return self._latest(model_id, device_class, None)

    def verification_for(self, model_id: int, device_class: str, records_key: str) -> VerificationRow | None:
        """Return the last verification of a model as built from exactly these records."""
        return self._latest(model_id, device_class, records_key)

    def _latest(self, model_id: int, device_class: str, records_key: str | None) -> VerificationRow | None:
        table = Verification.__table__
        columns: list[Any] = [c for c in table.c if c.key != "device_class_id"]
        query = (
            select(*columns, DeviceClass.name.label("device_class"))
            .join(DeviceClass, DeviceClass.id == Verification.device_class_id)
            .where(Verification.model_id == model_id, DeviceClass.name == device_class)
            .order_by(Verification.id.desc())
            .limit(1)
        )
        if records_key is not None:
            query = query.where(Verification.records_key == records_key)
        row = self._read(lambda c: c.execute(query).one_or_none())
        return None if row is None else VerificationRow(**row._mapping)
