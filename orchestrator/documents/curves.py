"""How a campaign's estimate came down, as a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.storage import CurveRow

__all__ = ["curve_documents"]


def curve_documents(rows: Sequence[CurveRow]) -> list[dict[str, Any]]:
    """The curves, as ``--json`` has them."""
    return [
        {
            "device_class": row.device_class,
            "library_s": row.library_s,
            "reference_s": row.reference_s,
            "reference_passed_s": row.passed_s,
            "points": [{"at_s": at_s, "expected_s": expected_s} for at_s, expected_s in row.points],
        }
        for row in rows
    ]
