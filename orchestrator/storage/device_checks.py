"""Checks of devices: was each as fast as before, while a campaign measured on it?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select

from orchestrator.storage._campaign_rows import require_named_lease
from orchestrator.storage._group import Group
from orchestrator.storage._ids import device_class_id, storable
from orchestrator.storage._tables import DeviceCheck, DeviceClass, Toolchain
from orchestrator.storage._toolchain_rows import canonical, put_toolchains, with_release
from orchestrator.storage.rows import CheckState, DeviceCheckRow, NewDeviceCheck, toolchain_key
from workers.messages import Condition

__all__ = ["DeviceChecks"]

_CONDITION = tuple(Condition.__dataclass_fields__)


class DeviceChecks(Group):
    """What a known kernel took on devices. Written by who measures on them; read by anyone."""

    def put(self, check: NewDeviceCheck, *, campaign_id: int | None = None, owner: str | None = None) -> None:
        """Store a check.

        Parameters
        ----------
        campaign_id, owner : int, str or None
            Where both are given, ``owner`` must hold that campaign's lease; checked in the same transaction.

        Raises
        ------
        LeaseLostError
            It doesn't. Nothing was stored.
        NotFoundError
            The device class isn't stored.
        """
        text = canonical(with_release(check.versions))

        def work(connection: Connection) -> None:
            require_named_lease(connection, campaign_id, owner)
            values = {
                "campaign_id": campaign_id,
                "run": check.run,
                "device_class_id": device_class_id(connection, check.device_class),
                "device": storable(check.device),
                "host": storable(check.host),
                "toolchain_id": put_toolchains(connection, [text])[text],
                "kernel": check.kernel,
                "state": check.state.value,
                "at_s": check.at_s,
                "times": [float(seconds) for seconds in check.times],
                "time_s": check.time_s,
                "reference_s": check.reference_s,
                "drift": check.drift,
                "tries": check.tries,
                "marked": check.marked,
                "message": storable(check.message),
                **asdict(check.condition),
            }
            connection.execute(insert(DeviceCheck).values(**values))

        self._database.write(work)

    def reference(self, check: NewDeviceCheck) -> float | None:
        """Return what a device's checks were held against last, in seconds; None where there was none.

        Of those of the same device, host and kernel, built with a toolchain of the same key.

        Parameters
        ----------
        check : NewDeviceCheck
            One that is about to be made there.
        """
        query = (
            select(DeviceCheck.reference_s)
            .join(DeviceClass, DeviceClass.id == DeviceCheck.device_class_id)
            .join(Toolchain, Toolchain.id == DeviceCheck.toolchain_id)
            .where(
                DeviceCheck.device == storable(check.device),
                DeviceCheck.host == storable(check.host),
                DeviceClass.name == check.device_class,
                DeviceCheck.kernel == check.kernel,
                Toolchain.key == toolchain_key(with_release(check.versions)),
                DeviceCheck.reference_s.is_not(None),
            )
            .order_by(DeviceCheck.id.desc())
            .limit(1)
        )
        return self._database.read(lambda c: c.execute(query).scalar_one_or_none())

    def of_campaign(self, campaign_id: int) -> list[DeviceCheckRow]:
        """Return a campaign's checks, in the order in which they were made."""
        return self._rows(_query().where(DeviceCheck.campaign_id == campaign_id).order_by(DeviceCheck.id))

    def latest(self, campaign_id: int | None = None) -> list[DeviceCheckRow]:
        """Return the last check of every device that was ever checked, or by a campaign, of each class."""
        last = select(func.max(DeviceCheck.id)).group_by(
            DeviceCheck.device, DeviceCheck.host, DeviceCheck.device_class_id
        )
        if campaign_id is not None:
            last = last.where(DeviceCheck.campaign_id == campaign_id)
        return self._rows(_query().where(DeviceCheck.id.in_(last)).order_by(DeviceCheck.id))

    def _rows(self, query: Select[Any]) -> list[DeviceCheckRow]:
        rows = self._database.read(lambda c: c.execute(query).all())
        return [_row(row) for row in rows]


def _query() -> Select[Any]:
    left_out = ("device_class_id", "toolchain_id")
    columns: list[Any] = [c for c in DeviceCheck.__table__.c if c.key not in left_out]
    return select(*columns, DeviceClass.name.label("device_class")).join(
        DeviceClass, DeviceClass.id == DeviceCheck.device_class_id
    )


def _row(row: Any) -> DeviceCheckRow:
    values = dict(row._mapping)
    condition = Condition(**{name: values.pop(name) for name in _CONDITION})
    values |= {"state": CheckState(row.state), "times": tuple(row.times), "condition": condition}
    return DeviceCheckRow(**values)
