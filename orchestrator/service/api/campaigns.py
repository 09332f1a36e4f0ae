"""Campaigns: submit, list, show, watch, pause, resume, cancel, and their trials."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.documents.campaigns import campaign_document, listed_document
from orchestrator.documents.comparison import comparison_document, read_comparison
from orchestrator.documents.details import details_document
from orchestrator.documents.failures import failures_document
from orchestrator.documents.schema import titled
from orchestrator.documents.snapshot import read_snapshot
from orchestrator.documents.trials import trial_document
from orchestrator.service.access.identity import Reader, Submitter
from orchestrator.service.live.sse import Event, Look, stream
from orchestrator.service.parts import Parts, one_of_few, parts_of
from orchestrator.service.reading import (
    campaign_changed,
    recent_campaigns,
    recent_details,
    recent_failures,
    recent_snapshot,
)
from orchestrator.service.report import report_of
from orchestrator.service.submitting import Submission, ask_for, set_priority, submit_campaign
from orchestrator.storage import RESTING_STATES, CampaignRequest, CampaignRow, CampaignState
from workers.messages import TrialState

__all__ = ["router"]

router = APIRouter(tags=["campaigns"])
_Parts = Annotated[Parts, Depends(parts_of)]
_Campaign = Annotated[str, Path(max_length=200, description="Number or name of a campaign.")]
_Document = dict[str, Any]


class Priority(BaseModel):
    """A priority to give."""

    model_config = ConfigDict(extra="forbid")

    priority: int = Field(ge=-1000, le=1000)


@router.get("/campaigns")
def list_campaigns(
    parts: _Parts,
    _who: Reader,
    state: Annotated[list[CampaignState] | None, Query()] = None,
    name: Annotated[
        str | None, Query(max_length=200, description="Only the one of this name, which a path can't have.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> _Document:
    """List campaigns, the newest first; the document of `tunefleet list`."""
    found = recent_campaigns(parts, tuple(state or ()), limit, name)
    return titled("list", {"campaigns": [listed_document(one) for one in found]})


@router.post("/campaigns", status_code=201)
def submit(parts: _Parts, who: Submitter, asked: Submission) -> _Document:
    """Leave a campaign to a coordinator; the document of `tunefleet submit`."""
    row = submit_campaign(parts, who, asked)
    campaign_changed(parts, row.id, row.name)
    return titled("submit", {"campaign": campaign_document(row), "database": parts.store.url})


@router.get("/campaigns/{campaign}")
def show(parts: _Parts, _who: Reader, campaign: _Campaign) -> _Document:
    """Show a campaign; the document of `tunefleet show`."""
    return titled("show", details_document(recent_details(parts, campaign)))


@router.get("/campaigns/{campaign}/trials")
def trials(
    parts: _Parts,
    _who: Reader,
    campaign: _Campaign,
    state: TrialState | None = None,
    limit: Annotated[int, Query(ge=1, le=10000)] = 1000,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="Only trials of a higher id.")] = 0,
) -> _Document:
    """List trials that a campaign measured; the document of `tunefleet trials`."""
    row = parts.store.campaigns.get(campaign)
    found = parts.store.trials.of_campaign(row.id, state=state, limit=limit, after_id=after)
    measured = parts.store.measurements.of_trials([trial.id for trial in found])
    documents = [trial_document(trial, measured.get(trial.id, ())) for trial in found]
    return titled("trials", {"campaign_id": row.id, "trials": documents})


@router.get("/campaigns/{campaign}/failures")
def failures(parts: _Parts, _who: Reader, campaign: _Campaign) -> _Document:
    """Count how a campaign's trials failed; the document of `tunefleet failures --campaign`."""
    row = parts.store.campaigns.get(campaign)
    return titled("failures", failures_document(recent_failures(parts, row.id)))


@router.get(
    "/campaigns/{campaign}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
def watch(parts: _Parts, who: Reader, campaign: _Campaign) -> StreamingResponse:
    """Follow a campaign until it rests: an event `progress` with its facts for each change, and an `end`."""
    # What is not there is answered before the stream begins.
    number = str(read_snapshot(parts.store, campaign).campaign.id)

    def look() -> Look:
        snapshot = recent_snapshot(parts, number)
        text = json.dumps(titled("watch-progress", listed_document(snapshot)), allow_nan=False)
        return Look((Event("progress", text),), snapshot.campaign.state in RESTING_STATES)

    return stream(parts, who, look)


@router.get(
    "/campaigns/{campaign}/report",
    response_class=HTMLResponse,
    responses={200: {"content": {"text/html": {}}}},
)
def report(parts: _Parts, _who: Reader, campaign: _Campaign) -> HTMLResponse:
    """Return a campaign's page as one file to send around, as `tunefleet report` writes it."""
    row = parts.store.campaigns.get(campaign)
    with one_of_few(parts):
        text = report_of(parts.store, row.id)
    return HTMLResponse(
        text, headers={"Content-Disposition": f'attachment; filename="campaign-{row.id}.html"'}
    )


@router.post("/campaigns/{campaign}/pause")
def pause(parts: _Parts, who: Submitter, campaign: _Campaign) -> _Document:
    """Pause a campaign; the document of `tunefleet pause`, as of the others here."""
    return _changed(parts, ask_for(parts, who, campaign, CampaignRequest.PAUSE), "pause")


@router.post("/campaigns/{campaign}/resume")
def resume(parts: _Parts, who: Submitter, campaign: _Campaign) -> _Document:
    """Have a coordinator go on with a campaign."""
    return _changed(parts, ask_for(parts, who, campaign, CampaignRequest.RESUME), "resume")


@router.post("/campaigns/{campaign}/cancel")
def cancel(parts: _Parts, who: Submitter, campaign: _Campaign) -> _Document:
    """End a campaign for good."""
    return _changed(parts, ask_for(parts, who, campaign, CampaignRequest.CANCEL), "cancel")


@router.put("/campaigns/{campaign}/priority")
def priority(parts: _Parts, who: Submitter, campaign: _Campaign, wanted: Priority) -> _Document:
    """Give a campaign another priority."""
    return _changed(parts, set_priority(parts, who, campaign, wanted.priority), "priority")


@router.get("/compare")
def compare(
    parts: _Parts,
    _who: Reader,
    first: Annotated[str, Query(max_length=200)],
    second: Annotated[str, Query(max_length=200)],
    allowed: Annotated[
        float | None,
        Query(ge=0, lt=1, allow_inf_nan=False, description="As `--fail-if-slower`: 0.03 allows for 3 %."),
    ] = None,
) -> _Document:
    """Say what changed between two campaigns; the document of `tunefleet compare`."""
    return titled("compare", comparison_document(read_comparison(parts.store, first, second), allowed))


def _changed(parts: Parts, row: CampaignRow, kind: str) -> _Document:
    campaign_changed(parts, row.id, row.name)
    return titled(kind, {"campaign": campaign_document(row)})
