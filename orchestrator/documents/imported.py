"""What became of the records of another store, as a document."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.records.reports import Imported

__all__ = ["imported_document"]


def imported_document(report: Imported) -> dict[str, Any]:
    """What became of the records of another store."""
    return {
        "source": report.source,
        "device_classes": list(report.device_classes),
        "dry_run": report.dry_run,
        "lines_bad": [{"line": bad.number, "reason": bad.reason} for bad in report.bad],
        "workloads": report.workloads,
        "trials": report.trials,
        "trials_failed": report.failed,
        "trials_stored_before": report.stored_before,
        "trials_imported": report.imported,
        "measurements_added": report.added,
        "signed_by": None if report.signed_by is None else asdict(report.signed_by),
    }
