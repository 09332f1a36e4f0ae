"""Toolchains: with which of them a device class is measured now, and what that makes stale."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select, update

from orchestrator.storage._group import Group
from orchestrator.storage._ids import device_class_id
from orchestrator.storage._standing import judge_anew
from orchestrator.storage._tables import DeviceClass, Measurement, Toolchain, Trial
from orchestrator.storage._toolchain_rows import canonical, put_toolchains, with_release
from orchestrator.storage.rows import ToolchainRow, toolchain_key

__all__ = ["Toolchains"]


class Toolchains(Group):
    """What was measured with. Written by who measures; read by anyone.

    A device class is measured with one toolchain at a time. Trials that were not measured with it are stale:
    where a workload has others, none of them is its best.
    """

    def adopt(self, device_class: str, versions: Mapping[str, str]) -> str:
        """Have a device class measured with a toolchain from now on, and return that toolchain's key.

        Trials that were measured with it are judged by those measurements again, also where others came
        later. To adopt what is adopted changes nothing.

        Raises
        ------
        NotFoundError
            The device class isn't stored.
        """
        key = toolchain_key(versions)
        if self.current_key(device_class) == key:
            return key
        text = canonical(with_release(versions))

        def work(connection: Connection) -> None:
            class_id = device_class_id(connection, device_class)
            put_toolchains(connection, [text])
            table: Any = DeviceClass.__table__
            connection.execute(update(table).where(table.c.id == class_id).values(toolchain=key))
            # Trials of before that were measured with it as well: only those have one that doesn't count.
            again = (
                select(Measurement.trial_id)
                .join(Toolchain, Toolchain.id == Measurement.toolchain_id)
                .join(Trial, Trial.id == Measurement.trial_id)
                .where(Toolchain.key == key, ~Measurement.counts, Trial.device_class_id == class_id)
            )
            judge_anew(connection, set(connection.scalars(again).all()))

        self._database.write(work)
        return key

    def current_key(self, device_class: str) -> str:
        """Return the key of what a device class is measured with; empty where it never was.

        Raises
        ------
        NotFoundError
            The device class isn't stored.
        """

        def work(connection: Connection) -> str:
            class_id = device_class_id(connection, device_class)
            query = select(DeviceClass.toolchain).where(DeviceClass.id == class_id)
            return str(connection.execute(query).scalar_one())

        return self._database.read(work)

    def find(self, key: str) -> ToolchainRow | None:
        """Return the latest toolchain of a key; None where nothing was measured with any."""
        query = select(*Toolchain.__table__.c).where(Toolchain.key == key).order_by(Toolchain.id.desc())
        row = self._database.read(lambda c: c.execute(query.limit(1)).first())
        return None if row is None else _toolchain_row(row)

    def all(self) -> list[ToolchainRow]:
        """Return all toolchains, the first one first."""
        query = select(*Toolchain.__table__.c).order_by(Toolchain.id)
        return [_toolchain_row(row) for row in self._database.read(lambda c: c.execute(query).all())]


def _toolchain_row(row: Any) -> ToolchainRow:
    return ToolchainRow(**{**row._mapping, "versions": json.loads(row.versions)})
