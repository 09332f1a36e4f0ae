"""A campaign in the JSON documents of the commands that name one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.documents.text import instant

if TYPE_CHECKING:
    from orchestrator.documents.snapshot import Snapshot
    from orchestrator.storage import CampaignRow

__all__ = ["campaign_document", "listed_document", "progress_document"]


def campaign_document(row: CampaignRow) -> dict[str, Any]:
    """A campaign's own facts."""
    return {
        "id": row.id,
        "name": row.name,
        "engine": row.engine,
        "state": row.state.value,
        "request": row.request.value if row.request else None,
        "message": row.message,
        "seed": row.seed,
        "created_at": instant(row.created_at),
        "started_at": instant(row.started_at),
        "finished_at": instant(row.finished_at),
        "active_s": row.active_s,
        "priority": row.priority,
        "held": row.held,
        "lease_owner": row.lease_owner,
        "spec": row.spec,
    }


def progress_document(snapshot: Snapshot) -> dict[str, Any]:
    """How far a campaign is."""
    return {
        "tasks": len(snapshot.tasks),
        "tasks_with_time": snapshot.timed,
        "tasks_open": snapshot.open,
        "trials_stored": snapshot.done,
        "trials_budget": snapshot.total,
        "trials_measured": snapshot.measured,
        "trials_failed": snapshot.failures,
        "trials_saved": snapshot.saved,
        "trials_stale": snapshot.stale,
        "tasks_stale": snapshot.stale_bests,
        "expected_s": snapshot.expected_s,
    }


def listed_document(snapshot: Snapshot) -> dict[str, Any]:
    """A campaign in a list: its facts, its models' paths and names, its progress."""
    return {
        **campaign_document(snapshot.campaign),
        "models": [model.path for model in snapshot.models],
        "model_names": snapshot.model_names,
        "progress": progress_document(snapshot),
    }
