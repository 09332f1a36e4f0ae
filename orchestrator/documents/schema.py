"""What a document begins with: its name and version."""

from __future__ import annotations

from typing import Any

__all__ = ["SCHEMA_PREFIX", "SCHEMA_VERSION", "titled"]

SCHEMA_PREFIX = "tunefleet"
SCHEMA_VERSION = 1


def titled(kind: str, document: dict[str, Any]) -> dict[str, Any]:
    """Put a document's name and version before its fields."""
    return {"schema": f"{SCHEMA_PREFIX}/{kind}/{SCHEMA_VERSION}", **document}
