"""The devices that were measured on, as a document."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from orchestrator.documents.drift import check_document
from orchestrator.documents.text import instant
from orchestrator.storage.rows import CheckState, drift_words

if TYPE_CHECKING:
    from orchestrator.storage import DeviceCheckRow, DeviceRow

__all__ = ["check_of", "check_text", "device_state", "devices_document"]

# A coordinator tells of its devices every few seconds; what is older than this, nobody watches.
_WATCHED = timedelta(seconds=30)


def devices_document(found: Sequence[DeviceRow], checks: Sequence[DeviceCheckRow]) -> dict[str, Any]:
    """How each device stands, with its last check."""
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
                "check": None if (check := check_of(row, checks)) is None else check_document(check),
            }
            for row in found
        ]
    }


def device_state(row: DeviceRow) -> str:
    """Say how a device stands; what a coordinator said that died since then is not taken for the present."""
    watched = datetime.now(timezone.utc) - row.last_seen_at < _WATCHED
    return row.state if watched or row.state not in ("free", "busy") else "seen"


def check_of(row: DeviceRow, checks: Sequence[DeviceCheckRow]) -> DeviceCheckRow | None:
    """Return the last check of a device, of the last ones of all; None where it was never checked."""
    own = row.key, row.host, row.device_class
    return next((one for one in checks if (one.device, one.host, one.device_class) == own), None)


def check_text(check: DeviceCheckRow | None) -> str:
    """Say what a device's last check found, in a few words."""
    if check is None:
        return "-"
    if check.state is CheckState.FAILED:
        return "failed"
    if check.state is CheckState.DRIFTED:
        return drift_words(check.drift or 0.0)
    words = {
        CheckState.FIRST: "checked once",
        CheckState.STEADY: "as before",
        CheckState.LEVEL: "another level",
    }
    return words[check.state]
