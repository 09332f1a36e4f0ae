"""The devices that were measured on, as a document."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from orchestrator.documents.text import instant

if TYPE_CHECKING:
    from orchestrator.storage import DeviceRow

__all__ = ["device_state", "devices_document"]

# A coordinator tells of its devices every few seconds; what is older than this, nobody watches.
_WATCHED = timedelta(seconds=30)


def devices_document(found: Sequence[DeviceRow]) -> dict[str, Any]:
    """How each device stands."""
    return {
        "devices": [
            {
                "key": row.key,
                "host": row.host,
                "device_class": row.device_class,
                "model": row.model,
                "state": device_state(row),
                "trials_per_hour": row.trials_per_hour,
                "last_seen_at": instant(row.last_seen_at),
                "last_error": row.message,
                "versions": row.versions,
            }
            for row in found
        ]
    }


def device_state(row: DeviceRow) -> str:
    """Say how a device stands; what a coordinator said that died since then is not taken for the present."""
    watched = datetime.now(timezone.utc) - row.last_seen_at < _WATCHED
    return row.state if watched or row.state not in ("free", "busy") else "seen"
