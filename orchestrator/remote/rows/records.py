"""What became of records that were sent."""

from __future__ import annotations

from typing import Any

from orchestrator.records.reports import BadLine, Imported, SignedBy

__all__ = ["imported_of"]


def imported_of(document: dict[str, Any], source: str) -> Imported:
    """Read what :func:`.imported_document` writes.

    Parameters
    ----------
    source : str
        What the file is called here: it came as a body, without a name.
    """
    by = document["signed_by"]
    return Imported(
        source=source,
        device_classes=tuple(document["device_classes"]),
        workloads=document["workloads"],
        trials=document["trials"],
        failed=document["trials_failed"],
        stored_before=document["trials_stored_before"],
        imported=document["trials_imported"],
        added=document["measurements_added"],
        bad=tuple(BadLine(one["line"], one["reason"]) for one in document["lines_bad"]),
        dry_run=document["dry_run"],
        signed_by=None if by is None else SignedBy(by["key"], by["name"], by["trusted"], by["verified"]),
    )
