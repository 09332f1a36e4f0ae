"""All there is to know about a campaign, its trials apart: read, and as a document."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.documents.campaigns import campaign_document, progress_document
from orchestrator.documents.curves import curve_documents
from orchestrator.documents.drift import CampaignDrift, drift_document, read_drift
from orchestrator.documents.intervals import interval_document, sure_document, times_interval
from orchestrator.documents.layouts import ShownLayout, layouts_of_campaign, tried_document
from orchestrator.documents.origins import origin_document
from orchestrator.documents.snapshot import Snapshot, limit_or_none, read_snapshot
from orchestrator.documents.text import finite, gflops, instant

if TYPE_CHECKING:
    from orchestrator.builds.intervals import Interval
    from orchestrator.storage import (
        CampaignModelRow,
        CampaignTaskRow,
        CurveRow,
        Inside,
        ModelRow,
        Storage,
        VerificationRow,
    )

__all__ = ["Details", "details_document", "read_details"]


@dataclass(frozen=True)
class Details:
    """A campaign, what its models are, and what they achieved.

    Attributes
    ----------
    prepared : tuple of ModelRow or None
        What is stored of each of its models; None where one was not prepared yet.
    layouts : tuple of tuple of ShownLayout
        For each of its models, the layouts on its device classes.
    verifications : tuple of (CampaignModelRow, VerificationRow)
        The last comparison of each model on each device class.
    curves : tuple of CurveRow
        How the estimate came down, on each device class.
    drift : CampaignDrift
        How steady its devices were.
    best_intervals : dict of int to Interval
        Between which times the medians of the tasks' best trials lie, by the trial, where that can be told.
    """

    snapshot: Snapshot
    prepared: tuple[ModelRow | None, ...]
    layouts: tuple[tuple[ShownLayout, ...], ...]
    verifications: tuple[tuple[CampaignModelRow, VerificationRow], ...]
    curves: tuple[CurveRow, ...]
    drift: CampaignDrift
    best_intervals: dict[int, Interval] = field(default_factory=dict)


def read_details(store: Storage, campaign: int | str) -> Details:
    """Read a campaign by its number or name.

    Raises
    ------
    NotFoundError
    """
    snapshot = read_snapshot(store, campaign)
    return Details(
        snapshot,
        tuple(
            None if model.model_id is None else store.models.get(model.model_id) for model in snapshot.models
        ),
        tuple(tuple(_layouts(store, snapshot, model.model_id)) for model in snapshot.models),
        tuple(_verifications(store, snapshot)),
        tuple(store.answers.curves(snapshot.campaign.id)),
        read_drift(store, snapshot.campaign.id, snapshot.tasks),
        _best_intervals(store, snapshot),
    )


def details_document(details: Details) -> dict[str, Any]:
    """All there is to know about a campaign, its trials apart."""
    return {
        "campaign": campaign_document(details.snapshot.campaign),
        "progress": progress_document(details.snapshot),
        "models": [
            {
                "path": model.path,
                "name": model.model_name,
                "model_id": model.model_id,
                "shapes": {name: list(shape) for name, shape in model.shapes.items()},
                "origin": origin_document(row.origin if row else None),
                "changes": list(row.changes) if row else [],
                "layouts": [
                    {
                        "device_class": found.device_class,
                        "layout": found.layout,
                        "reason": found.reason,
                        "tried": tried_document(found.tried),
                        "alternative": found.alternative or None,
                    }
                    for found in of_model
                ],
            }
            for model, row, of_model in zip(
                details.snapshot.models, details.prepared, details.layouts, strict=True
            )
        ],
        "tasks": [_campaign_task(task, details.best_intervals) for task in details.snapshot.tasks],
        "verifications": [_verification(model, row) for model, row in details.verifications],
        "curves": curve_documents(details.curves),
        "drift": drift_document(details.drift),
    }


def _layouts(store: Storage, snapshot: Snapshot, model_id: int | None) -> list[ShownLayout]:
    """Return the layouts in which a campaign tunes a model, one for each of its device classes."""
    from orchestrator.models.extraction import AUTO

    if model_id is None:
        return []
    campaign = snapshot.campaign
    classes = {task.device_class for task in snapshot.tasks}
    rows = store.extractions.layouts(model_id, campaign.engine)
    decisions = [row for row in store.layouts.of_campaign(campaign.id) if row.model_id == model_id]
    return layouts_of_campaign(
        [row for row in rows if row.device_class in classes], decisions, campaign.spec.get("layout", AUTO)
    )


def _verifications(store: Storage, snapshot: Snapshot) -> Iterator[tuple[CampaignModelRow, VerificationRow]]:
    classes = dict.fromkeys(task.device_class for task in snapshot.tasks)
    for model, device_class in itertools.product(snapshot.models, classes):
        if model.model_id is not None:
            row = store.verifications.latest(model.model_id, device_class)
            if row is not None:
                yield model, row


def _best_intervals(store: Storage, snapshot: Snapshot) -> dict[int, Interval]:
    ids = [task.best_trial_id for task in snapshot.tasks if task.best_trial_id is not None]
    return {
        trial: interval
        for trial, found in store.measurements.of_trials(ids).items()
        for one in found
        if one.counts and (interval := times_interval(one.times)) is not None
    }


def _campaign_task(row: CampaignTaskRow, intervals: Mapping[int, Interval]) -> dict[str, Any]:
    return {
        "name": row.name,
        "workload_hash": row.workload_hash,
        "device_class": row.device_class,
        "weight": row.weight,
        "flops": row.flops,
        "state": row.state.value,
        "note": row.note,
        "budget": limit_or_none(row.budget),
        "stored_before": row.stored_before,
        "stored": row.stored,
        "stored_failures": row.stored_failures,
        "stale": row.stale,
        "measured": row.measured,
        "measured_failures": row.measured_failures,
        "expected_s": row.expected_s,
        "inside": inside_document(row.inside),
        "best_s": row.best_s,
        "best_interval_s": interval_document(intervals.get(row.best_trial_id or 0)),
        "best_stale": row.best_stale,
        "best_trial_id": row.best_trial_id,
        "best_at": instant(row.best_at),
        "gflops": gflops(row.flops, row.best_s),
    }


def inside_document(inside: Inside | None) -> dict[str, Any] | None:
    """What a call takes inside its model, and with the same schedule alone."""
    if inside is None:
        return None
    return {"seconds": inside.seconds, "alone_s": inside.alone_s, "seen_at": instant(inside.seen_at)}


def _verification(model: CampaignModelRow, row: VerificationRow) -> dict[str, Any]:
    from orchestrator.builds.gate import Side

    side = Side.of_row(row)
    return {
        "model": model.model_name,
        "path": model.path,
        "device_class": row.device_class,
        "untuned_s": row.untuned_s,
        "tuned_s": row.tuned_s,
        "reference_s": row.reference_s,
        **sure_document(side),
        "runs": row.runs,
        "turns": row.turns,
        "turns_s": {"tuned": list(side.tuned_s), "reference": list(side.reference_s)},
        "timing_note": str(row.details.get("timing_note", "")),
        "untuned_note": row.untuned_note,
        "max_abs": finite(row.max_abs),
        "max_rel": finite(row.max_rel),
        "outputs_agree": row.details.get("agree"),
        "disagreement": str(row.details.get("disagreement", "")),
        "remark": str(row.details.get("remark", "")),
        "tasks_total": row.tasks_total,
        "tasks_tuned": row.tasks_tuned,
        "wrong_records": list(row.details.get("wrong", ())),
        "created_at": instant(row.created_at),
    }
