"""Campaigns, their tasks and their trials as JSON documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.cli.campaigns.snapshot import NO_LIMIT
from orchestrator.cli.kit.text import gflops, instant
from orchestrator.cli.models.run import finite

if TYPE_CHECKING:
    from orchestrator.cli.campaigns.snapshot import Snapshot
    from orchestrator.storage import (
        CampaignModelRow,
        CampaignRow,
        CampaignTaskRow,
        ModelRow,
        TrialRow,
        VerificationRow,
    )

__all__ = ["campaign_document", "details_document", "listed_document", "listed_part", "trial_document"]


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
        "expected_s": snapshot.expected_s,
    }


def listed_document(snapshot: Snapshot) -> dict[str, Any]:
    """A campaign in a list: its facts, its models' paths, its progress."""
    return {
        **campaign_document(snapshot.campaign),
        "models": [model.path for model in snapshot.models],
        "progress": progress_document(snapshot),
    }


def details_document(
    snapshot: Snapshot,
    prepared: Sequence[ModelRow | None],
    verifications: Sequence[tuple[CampaignModelRow, VerificationRow]],
) -> dict[str, Any]:
    """All there is to know about a campaign, its trials apart."""
    return {
        "campaign": campaign_document(snapshot.campaign),
        "progress": progress_document(snapshot),
        "models": [
            {
                "path": model.path,
                "name": model.model_name,
                "model_id": model.model_id,
                "shapes": {name: list(shape) for name, shape in model.shapes.items()},
                "changes": list(row.changes) if row else [],
            }
            for model, row in zip(snapshot.models, prepared, strict=True)
        ],
        "tasks": [_campaign_task(task) for task in snapshot.tasks],
        "verifications": [_verification(model, row) for model, row in verifications],
    }


def _campaign_task(row: CampaignTaskRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "workload_hash": row.workload_hash,
        "device_class": row.device_class,
        "weight": row.weight,
        "flops": row.flops,
        "state": row.state.value,
        "note": row.note,
        "budget": listed_part(row.budget),
        "stored_before": row.stored_before,
        "stored": row.stored,
        "stored_failures": row.stored_failures,
        "measured": row.measured,
        "measured_failures": row.measured_failures,
        "best_s": row.best_s,
        "best_trial_id": row.best_trial_id,
        "best_at": instant(row.best_at),
        "gflops": gflops(row.flops, row.best_s),
    }


def _verification(model: CampaignModelRow, row: VerificationRow) -> dict[str, Any]:
    return {
        "model": model.model_name,
        "path": model.path,
        "device_class": row.device_class,
        "untuned_s": row.untuned_s,
        "tuned_s": row.tuned_s,
        "reference_s": row.reference_s,
        "max_abs": finite(row.max_abs),
        "max_rel": finite(row.max_rel),
        "outputs_agree": row.details.get("agree"),
        "tasks_total": row.tasks_total,
        "tasks_tuned": row.tasks_tuned,
        "created_at": instant(row.created_at),
    }


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


def listed_part(trials: int) -> int | None:
    """A number of trials; None where time is the only limit."""
    return trials if trials < NO_LIMIT else None
