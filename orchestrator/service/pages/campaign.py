"""One campaign, live."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse

from orchestrator.documents.details import Details
from orchestrator.documents.drift import drift_text
from orchestrator.service.access.identity import Reader
from orchestrator.service.access.quotas import highest_priority, owns
from orchestrator.service.live.sse import Event, Look, stream
from orchestrator.service.pages.charts import chart_data
from orchestrator.service.pages.progress import progress_of
from orchestrator.service.pages.render import page, render
from orchestrator.service.pages.timeline import recent_timeline
from orchestrator.service.parts import Parts, parts_of
from orchestrator.service.reading import recent_details, recent_failures
from orchestrator.storage import CampaignState

__all__ = ["campaign_values", "router"]

router = APIRouter()
_Parts = Annotated[Parts, Depends(parts_of)]
_Campaign = Annotated[str, Path(max_length=200)]
_S = CampaignState
_ENDED = (_S.DONE, _S.CANCELLED)


@router.get("/campaigns/{campaign}")
def campaign(request: Request, parts: _Parts, who: Reader, campaign: _Campaign) -> HTMLResponse:
    """Show a campaign: its curve, its tasks, its trials, what failed, and what came of it."""
    details = recent_details(parts, campaign)
    values = {
        **campaign_values(parts, details),
        "who": who,
        "may_steer": who.may_submit and owns(parts, who, details.snapshot.campaign.id),
        "highest_priority": highest_priority(who),
        "charts": _charts(parts, details, None),
    }
    return page(request, "campaign.html", values)


@router.get("/campaigns/{campaign}/live")
def live(parts: _Parts, who: Reader, campaign: _Campaign) -> StreamingResponse:
    """Keep a campaign's page up to date."""
    number = str(recent_details(parts, campaign).snapshot.campaign.id)

    def look() -> Look:
        details = recent_details(parts, number)
        values = campaign_values(parts, details)
        events = tuple(
            Event(
                name,
                parts.recent.get(
                    ("part", name, number),
                    lambda file=f"_{name}.html": render(file, values),  # type: ignore[misc]
                ),
            )
            for name in ("status", "timeline", "tasks", "outcome")
        )
        snapshot = details.snapshot
        # What the drawings are of is fetched when it has changed.
        news = Event("charts", f"{snapshot.measured} {snapshot.timed} {snapshot.campaign.state.value}")
        return Look((*events, news), snapshot.campaign.state in _ENDED)

    return stream(parts, who, look)


@router.get("/campaigns/{campaign}/charts")
def charts(
    parts: _Parts,
    _who: Reader,
    campaign: _Campaign,
    task: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> JSONResponse:
    """Return what the drawings of a campaign's page are of."""
    details = recent_details(parts, campaign)
    return JSONResponse(_charts(parts, details, task))


def campaign_values(parts: Parts, details: Details) -> dict[str, Any]:
    """Return what the parts of a campaign's page are made of."""
    snapshot = details.snapshot
    return {
        "progress": progress_of(parts, snapshot),
        "details": details,
        "timeline": recent_timeline(parts, details),
        "drift": drift_text(details.drift),
        "report": False,
        "lines": snapshot.lines(),
        "several_devices": len({task.device_class for task in snapshot.tasks}) > 1,
        "failures": [one for one in recent_failures(parts, snapshot.campaign.id) if one.failed],
    }


def _charts(parts: Parts, details: Details, task: int | None) -> dict[str, Any]:
    key = ("charts", details.snapshot.campaign.id, task)
    return parts.recent.get(key, lambda: chart_data(parts.store, details, task))
