"""The audit: what was changed through the service, by whom."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from orchestrator.storage._group import Group
from orchestrator.storage._ids import insert_row, storable
from orchestrator.storage._tables import AuditEntry
from orchestrator.storage.rows import AuditRow, NewAuditEntry

__all__ = ["Audit"]


class Audit(Group):
    """What was changed. Entries are added, and never changed."""

    def note(self, entry: NewAuditEntry) -> int:
        """Store an entry and return its id."""
        values: dict[str, Any] = {
            name: storable(value) if isinstance(value, str) else value for name, value in vars(entry).items()
        }
        return self._database.write(lambda c: insert_row(c, AuditEntry, values))

    def newest(self, limit: int = 100) -> list[AuditRow]:
        """Return the last entries, the newest first."""
        query = select(*AuditEntry.__table__.c).order_by(AuditEntry.id.desc()).limit(limit)
        return [AuditRow(**row._mapping) for row in self._database.read(lambda c: c.execute(query).all())]
