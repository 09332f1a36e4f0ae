"""A trial in the JSON documents of the commands that list some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.cli.kit.text import instant

if TYPE_CHECKING:
    from orchestrator.storage import TrialRow

__all__ = ["trial_document"]


def trial_document(row: TrialRow, *, schedule: str | None = None, traced: bool = False) -> dict[str, Any]:
    """A trial; with its trace and schedule where `traced`."""
    document: dict[str, Any] = {
        "id": row.id,
        "task": row.workload_name,
        "workload_hash": row.workload_hash,
        "device_class": row.device_class,
        "candidate": row.candidate,
        "state": row.state.value,
        "cost_s": row.cost_s,
        "times_s": list(row.times),
        "times_again_s": list(row.again),
        "message": row.message,
        "campaign_id": row.campaign_id,
        "device": row.device,
        "host": row.host,
        "versions": row.versions,
        "build_s": row.build_s,
        "run_s": row.run_s,
        "created_at": instant(row.created_at),
    }
    if traced:
        document |= {"trace": row.trace, "schedule": schedule}
    return document
