"""Verifications: a built model's latencies and its distance from the reference."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    Connection,
    or_,
    select,
)

from orchestrator.storage._group import Group
from orchestrator.storage._ids import (
    device_class_id,
    insert_row,
)
from orchestrator.storage._tables import (
    Campaign,
    CampaignModel,
    DeviceClass,
    Task,
    Verification,
)
from orchestrator.storage.rows import (
    NewVerification,
    VerificationRow,
)

__all__ = ["Verifications"]


class Verifications(Group):
    """Verifications. Anyone who built and compared a model may write one."""

    def put(self, verification: NewVerification) -> int:
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

        return self._database.write(work)

    def latest(self, model_id: int, device_class: str) -> VerificationRow | None:
        """Return the last verification of a model on a device class."""
        return self._latest(model_id, device_class, None)

    def of_model(self, model_id: int, *, limit: int) -> list[VerificationRow]:
        """Return the last verifications of a model, on all device classes, in the order they were made."""
        columns: list[Any] = [c for c in Verification.__table__.c if c.key != "device_class_id"]
        query = (
            select(*columns, DeviceClass.name.label("device_class"))
            .join(DeviceClass, DeviceClass.id == Verification.device_class_id)
            .where(Verification.model_id == model_id)
            .order_by(Verification.id.desc())
            .limit(limit)
        )
        rows = self._database.read(lambda c: c.execute(query).all())
        return [VerificationRow(**row._mapping) for row in reversed(rows)]

    def of_records(self, model_id: int, device_class: str, records_key: str) -> VerificationRow | None:
        """Return the last verification of a model as built from exactly these records."""
        return self._latest(model_id, device_class, records_key)

    def recent(self, model_ids: Collection[int], device_class: str, limit: int = 50) -> list[VerificationRow]:
        """Return the last verifications of some models on a device class, the latest first."""
        return self._last(model_ids, device_class, None, limit)

    def after_campaign(self, campaign_id: int) -> list[VerificationRow]:
        """Return the last verification of each model of a campaign on each of its device classes.

        The last until the campaign ended, whoever made it: a campaign that found nothing new does not compare
        its models again.
        """
        ended = select(Campaign.finished_at).where(Campaign.id == campaign_id).scalar_subquery()
        classes = select(Task.device_class_id).where(Task.campaign_id == campaign_id).distinct().subquery()
        last = (
            select(Verification.id)
            .where(
                Verification.model_id == CampaignModel.model_id,
                Verification.device_class_id == classes.c.device_class_id,
                or_(ended.is_(None), Verification.created_at <= ended),
            )
            .order_by(Verification.id.desc())
            .limit(1)
            .correlate(CampaignModel, classes)
            .scalar_subquery()
        )
        models = (
            select(CampaignModel.position, classes.c.device_class_id, last.label("verification_id"))
            .select_from(CampaignModel)
            .join(classes, CampaignModel.model_id.is_not(None))
            .where(CampaignModel.campaign_id == campaign_id)
            .subquery("models")
        )
        columns: list[Any] = [c for c in Verification.__table__.c if c.key != "device_class_id"]
        query = (
            select(*columns, DeviceClass.name.label("device_class"))
            .select_from(models)
            .join(Verification, Verification.id == models.c.verification_id)
            .join(DeviceClass, DeviceClass.id == Verification.device_class_id)
            .order_by(models.c.position, DeviceClass.name)
        )
        return [
            VerificationRow(**row._mapping) for row in self._database.read(lambda c: c.execute(query).all())
        ]

    def _latest(self, model_id: int, device_class: str, records_key: str | None) -> VerificationRow | None:
        return next(iter(self._last([model_id], device_class, records_key, 1)), None)

    def _last(
        self, model_ids: Collection[int], device_class: str, records_key: str | None, limit: int
    ) -> list[VerificationRow]:
        table = Verification.__table__
        columns: list[Any] = [c for c in table.c if c.key != "device_class_id"]
        query = (
            select(*columns, DeviceClass.name.label("device_class"))
            .join(DeviceClass, DeviceClass.id == Verification.device_class_id)
            .where(Verification.model_id.in_(model_ids), DeviceClass.name == device_class)
            .order_by(Verification.id.desc())
            .limit(limit)
        )
        if records_key is not None:
            query = query.where(Verification.records_key == records_key)
        return [
            VerificationRow(**row._mapping) for row in self._database.read(lambda c: c.execute(query).all())
        ]
