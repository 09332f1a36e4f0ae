"""Records that were written as JSON Lines, as a document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.records.jsonl_write import Exported

__all__ = ["REPORT_HEADER", "export_document"]

#: In which a service sends the document with the file.
REPORT_HEADER = "X-Tunefleet-Report"


def export_document(file: str, report: Exported, signed_by: dict[str, str] | None = None) -> dict[str, Any]:
    """How much was written.

    Parameters
    ----------
    signed_by : dict, optional
        ``key`` and ``name``.
    """
    return {
        "file": file,
        "signed_by": signed_by,
        "trials": report.trials,
        "trials_failed": report.failed,
        "workloads": report.workloads,
        "device_classes": list(report.device_classes),
    }
