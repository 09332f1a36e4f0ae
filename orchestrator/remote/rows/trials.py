"""Trials, as ``trials`` and ``best`` list them."""

from __future__ import annotations

from typing import Any

from orchestrator.remote.rows.values import maybe_time, time_of
from orchestrator.storage import MeasurementKind, TrialRow
from workers.messages import TrialState

__all__ = ["trial_of"]


def trial_of(document: dict[str, Any]) -> TrialRow:
    """Read what :func:`.trial_document` writes, its measurements apart."""
    return TrialRow(
        id=document["id"],
        workload_hash=document["workload_hash"],
        workload_name=document["task"],
        device_class=document["device_class"],
        candidate=document["candidate"],
        state=TrialState(document["state"]),
        cost_s=document["cost_s"],
        times=tuple(document["times_s"]),
        message=document["message"],
        campaign_id=document["campaign_id"],
        device=document["device"],
        host=document["host"],
        versions=document["versions"],
        build_s=document["build_s"],
        run_s=document["run_s"],
        token="",
        created_at=time_of(document["created_at"]),
        trace=document.get("trace"),
        kind=MeasurementKind(document["kind"]),
        measured_at=maybe_time(document["measured_at"]),
        toolchain=document["toolchain"],
        stale=document["stale"],
        drift=document["drift"],
    )
