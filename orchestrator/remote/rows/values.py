"""Values that JSON has as text."""

from __future__ import annotations

from datetime import datetime, timezone

__all__ = ["EPOCH", "maybe_time", "time_of"]

#: Where a row has an instant that its document leaves out.
EPOCH = datetime.fromtimestamp(0, timezone.utc)


def time_of(text: str) -> datetime:
    """Read an instant."""
    return datetime.fromisoformat(text)


def maybe_time(text: str | None) -> datetime | None:
    """Read an instant that may not be known."""
    return None if text is None else datetime.fromisoformat(text)
