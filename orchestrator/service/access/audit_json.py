"""The audit as a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.documents.text import instant

if TYPE_CHECKING:
    from orchestrator.storage import AuditRow

__all__ = ["audit_document"]


def audit_document(rows: Sequence[AuditRow]) -> dict[str, Any]:
    """What was changed, by whom."""
    return {
        "entries": [
            {
                "id": row.id,
                "at": instant(row.created_at),
                "who": row.who,
                "address": row.address,
                "action": row.action,
                "subject": row.subject,
                "detail": row.detail,
            }
            for row in rows
        ]
    }
