"""Workloads, found by their hashes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    Connection,
    select,
)

from orchestrator.errors import NotFoundError
from orchestrator.storage._database import chunks
from orchestrator.storage._group import Group
from orchestrator.storage._tables import (
    DeviceClass,
    Trial,
    Workload,
)
from orchestrator.storage._workload_rows import insert_workloads, workload_message
from orchestrator.storage.rows import (
    WorkloadRow,
)
from workers.messages import Workload as WorkloadMessage

__all__ = ["Workloads"]


class Workloads(Group):
    """Workloads. Written by anyone; to put one twice changes nothing."""

    def put(self, workloads: Sequence[WorkloadMessage]) -> None:
        """Store workloads that belong to no model's tasks."""
        if workloads:
            self._database.write(lambda connection: insert_workloads(connection, workloads))

    def get(self, workload_hash: str) -> WorkloadMessage:
        """Return a workload with its module; :class:`NotFoundError` where it isn't stored."""
        query = select(Workload.hash, Workload.engine, Workload.name, Workload.flops, Workload.module).where(
            Workload.hash == workload_hash
        )
        row = self._database.read(lambda c: c.execute(query).one_or_none())
        if row is None:
            raise NotFoundError(f"no workload {workload_hash} is stored")
        return workload_message(row)

    def get_many(self, hashes: Sequence[str]) -> list[WorkloadMessage]:
        """Return workloads with their modules; those that are not stored are left out."""

        def work(connection: Connection) -> list[WorkloadMessage]:
            found = []
            for part in chunks(dict.fromkeys(hashes)):
                query = select(
                    Workload.hash, Workload.engine, Workload.name, Workload.flops, Workload.module
                ).where(Workload.hash.in_(part))
                found += [WorkloadMessage(*row) for row in connection.execute(query)]
            return found

        return self._database.read(work)

    def search(self, prefix: str = "", *, limit: int = 100) -> list[WorkloadRow]:
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
        return [WorkloadRow(**row._mapping) for row in self._database.read(lambda c: c.execute(query).all())]

    def resolve(self, prefix: str) -> WorkloadRow:
        """Return the one workload whose hash is, or starts with, ``prefix``.

        Raises
        ------
        NotFoundError
            None does, or several do; the text lists some.
        """
        # A NUL is in no hash, and PostgreSQL would refuse to look for one.
        found = self.search(prefix, limit=6) if prefix and "\x00" not in prefix else []
        exact = [row for row in found if row.hash == prefix]
        if exact or len(found) == 1:
            return (exact or found)[0]
        if not found:
            raise NotFoundError(f"no workload whose hash starts with {prefix!r} is stored")
        several = ", ".join(f"{row.hash[: len(prefix) + 6]} ({row.name})" for row in found[:5])
        raise NotFoundError(f"{prefix!r} starts the hash of several workloads: {several}; give more of it")

    def device_classes(self, workload_hash: str) -> list[str]:
        """Return the names of the device classes that a workload has trials on, failed ones too."""
        there = select(Trial.id).where(
            Trial.workload_id == Workload.id, Trial.device_class_id == DeviceClass.id
        )
        query = (
            select(DeviceClass.name)
            .join(Workload, Workload.hash == workload_hash)
            .where(there.exists())
            .order_by(DeviceClass.name)
        )
        return list(self._database.read(lambda c: c.scalars(query).all()))
