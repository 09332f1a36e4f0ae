"""Campaigns: what ``list``, ``show`` and those that change one say of them."""

from __future__ import annotations

from typing import Any

from orchestrator.builds.intervals import Interval
from orchestrator.documents.details import Details
from orchestrator.documents.layouts import ShownLayout
from orchestrator.documents.snapshot import NO_LIMIT, Snapshot
from orchestrator.remote.rows.checks import drift_of
from orchestrator.remote.rows.values import EPOCH, maybe_time, time_of
from orchestrator.storage import (
    CampaignModelRow,
    CampaignRequest,
    CampaignRow,
    CampaignState,
    CampaignTaskRow,
    CurveRow,
    Inside,
    LayoutDecisionRow,
    ModelRow,
    TaskState,
    VerificationRow,
)
from workers.messages import Origin

__all__ = ["campaign_of", "details_of"]

Document = dict[str, Any]


def campaign_of(document: Document) -> CampaignRow:
    """Read what :func:`.campaign_document` writes."""
    return CampaignRow(
        id=document["id"],
        name=document["name"],
        engine=document["engine"],
        state=CampaignState(document["state"]),
        spec=document["spec"],
        request=None if document["request"] is None else CampaignRequest(document["request"]),
        message=document["message"],
        seed=document["seed"],
        created_at=time_of(document["created_at"]),
        started_at=maybe_time(document["started_at"]),
        finished_at=maybe_time(document["finished_at"]),
        active_s=document["active_s"],
        priority=document["priority"],
        lease_owner=document["lease_owner"],
        lease_until=None,
        held=document["held"],
    )


def details_of(document: Document) -> Details:
    """Read what :func:`.details_document` writes."""
    campaign = campaign_of(document["campaign"])
    models = tuple(_model(number, one) for number, one in enumerate(document["models"]))
    by_path = {model.path: model for model in models}
    tasks = tuple(_task(number, campaign.id, one) for number, one in enumerate(document["tasks"]))
    return Details(
        Snapshot(campaign, models, tasks),
        tuple(_prepared(model, one) for model, one in zip(models, document["models"], strict=True)),
        tuple(tuple(_layout(layout) for layout in one["layouts"]) for one in document["models"]),
        tuple((by_path[one["path"]], _verification(campaign.id, one)) for one in document["verifications"]),
        tuple(_curve(one) for one in document["curves"]),
        drift_of(document["drift"]),
        {
            one["best_trial_id"]: Interval(
                one["best_interval_s"]["low"], one["best_s"], one["best_interval_s"]["high"]
            )
            for one in document["tasks"]
            if one["best_interval_s"] is not None
        },
    )


def _model(number: int, document: Document) -> CampaignModelRow:
    shapes = {name: tuple(shape) for name, shape in document["shapes"].items()}
    return CampaignModelRow(number, document["path"], shapes, document["model_id"], document["name"])


def _prepared(model: CampaignModelRow, document: Document) -> ModelRow | None:
    if model.model_id is None:
        return None
    origin = document["origin"]
    return ModelRow(
        id=model.model_id,
        sha256="",
        shapes_key="",
        name=model.model_name or "",
        path=model.path,
        inputs=(),
        outputs=(),
        changes=tuple(document["changes"]),
        created_at=EPOCH,
        origin=None if origin is None else Origin(**origin),
    )


def _layout(document: Document) -> ShownLayout:
    device_class, tried = document["device_class"], document["tried"]
    decided = None
    if tried is not None:
        decided = LayoutDecisionRow(
            id=0,
            campaign_id=None,
            model_id=0,
            device_class=device_class,
            engine_version="",
            chosen=tried["chosen"],
            other=tried["other"],
            chosen_s=tried["chosen_s"],
            other_s=tried["other_s"],
            reason=tried["reason"],
            created_at=time_of(tried["decided_at"]),
        )
    return ShownLayout(
        device_class, document["layout"], document["reason"], decided, document["alternative"] or ""
    )


def _task(number: int, campaign_id: int, document: Document) -> CampaignTaskRow:
    return CampaignTaskRow(
        id=number,
        campaign_id=campaign_id,
        workload_hash=document["workload_hash"],
        workload_name=document["name"],
        flops=document["flops"],
        device_class=document["device_class"],
        name=document["name"],
        weight=document["weight"],
        budget=NO_LIMIT if document["budget"] is None else document["budget"],
        stored_before=document["stored_before"],
        state=TaskState(document["state"]),
        note=document["note"],
        stored=document["stored"],
        stored_failures=document["stored_failures"],
        measured=document["measured"],
        measured_failures=document["measured_failures"],
        best_s=document["best_s"],
        best_trial_id=document["best_trial_id"],
        best_at=maybe_time(document["best_at"]),
        stale=document["stale"],
        best_stale=document["best_stale"],
        inside=None
        if document["inside"] is None
        else Inside(
            document["inside"]["seconds"],
            document["inside"]["alone_s"],
            time_of(document["inside"]["seen_at"]),
        ),
    )


def _verification(campaign_id: int, document: Document) -> VerificationRow:
    details: Document = {
        "agree": document["outputs_agree"],
        "disagreement": document["disagreement"],
        "remark": document["remark"],
        "wrong": document["wrong_records"],
        "untuned_note": document["untuned_note"],
        "turns": document["turns"],
        "turns_s": document["turns_s"],
        "timing_note": document["timing_note"],
        # Of the times themselves their number is all that is told.
        "times_s": {name: [0.0] * runs for name, runs in document["runs"].items()},
    }
    return VerificationRow(
        id=0,
        campaign_id=campaign_id,
        model_id=0,
        device_class=document["device_class"],
        records_key="",
        untuned_s=document["untuned_s"],
        tuned_s=document["tuned_s"],
        reference_s=document["reference_s"],
        max_abs=document["max_abs"],
        max_rel=document["max_rel"],
        tasks_total=document["tasks_total"],
        tasks_tuned=document["tasks_tuned"],
        details=details,
        created_at=time_of(document["created_at"]),
    )


def _curve(document: Document) -> CurveRow:
    points = tuple((point["at_s"], point["expected_s"]) for point in document["points"])
    return CurveRow(document["device_class"], document["library_s"], document["reference_s"], points)
