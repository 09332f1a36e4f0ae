"""A trial in the JSON documents of the commands that list some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.documents.intervals import interval_document, times_interval
from orchestrator.documents.text import instant

if TYPE_CHECKING:
    from orchestrator.storage import MeasurementRow, TrialRow

__all__ = ["trial_document"]


def trial_document(
    row: TrialRow,
    measurements: Sequence[MeasurementRow],
    *,
    schedule: str | None = None,
    traced: bool = False,
) -> dict[str, Any]:
    """A trial with all its measurements; with its trace and schedule where `traced`."""
    document: dict[str, Any] = {
        "id": row.id,
        "task": row.workload_name,
        "workload_hash": row.workload_hash,
        "device_class": row.device_class,
        "candidate": row.candidate,
        "state": row.state.value,
        "cost_s": row.cost_s,
        "interval_s": interval_document(times_interval(row.times)),
        "times_s": list(row.times),
        "times_again_s": list(row.times) if row.kind.value == "again" else [],
        "kind": row.kind.value,
        "measured_at": instant(row.measured_at),
        "toolchain": row.toolchain,
        "stale": row.stale,
        "drift": row.drift,
        "message": row.message,
        "campaign_id": row.campaign_id,
        "device": row.device,
        "host": row.host,
        "versions": row.versions,
        "build_s": row.build_s,
        "run_s": row.run_s,
        "created_at": instant(row.created_at),
        "measurements": [
            {
                "kind": one.kind.value,
                "measured_at": instant(one.measured_at),
                "counts": one.counts,
                "state": one.state.value,
                "times_s": list(one.times),
                "message": one.message,
                "device": one.device,
                "host": one.host,
                "toolchain": one.toolchain,
                "versions": one.versions,
                "build_s": one.build_s,
                "run_s": one.run_s,
                "drift": one.drift,
            }
            for one in measurements
        ],
    }
    if traced:
        document |= {"trace": row.trace, "schedule": schedule}
    return document
