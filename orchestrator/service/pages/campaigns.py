"""The first page: campaigns, how they stand, how long they will take."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from orchestrator.documents.devices import device_state
from orchestrator.errors import UsageError
from orchestrator.service.access.identity import Reader
from orchestrator.service.live.sse import Event, Look, stream
from orchestrator.service.pages.progress import progress_of
from orchestrator.service.pages.render import page, render
from orchestrator.service.parts import Parts, parts_of
from orchestrator.service.reading import recent_campaigns, recent_devices
from orchestrator.storage import CampaignState

__all__ = ["router"]

router = APIRouter()
_Parts = Annotated[Parts, Depends(parts_of)]
_SHOWN = 50
_ANY = "any"
_State = Annotated[str, Query(max_length=20)]


@router.get("/")
def campaigns(
    request: Request,
    parts: _Parts,
    who: Reader,
    state: _State = _ANY,
) -> HTMLResponse:
    """Show the newest campaigns."""
    chosen = _chosen(state)
    values = {**_values(parts, chosen), "who": who, "states": list(CampaignState), "chosen": chosen}
    return page(request, "campaigns.html", values)


@router.get("/live")
def live(parts: _Parts, who: Reader, state: _State = _ANY) -> StreamingResponse:
    """Keep the list up to date."""
    chosen = _chosen(state)

    def look() -> Look:
        text = parts.recent.get(
            ("campaigns page", chosen), lambda: render("_campaigns.html", _values(parts, chosen))
        )
        return Look((Event("campaigns", text),))

    return stream(parts, who, look)


def _values(parts: Parts, state: CampaignState | None) -> dict[str, Any]:
    found = recent_campaigns(parts, () if state is None else (state,), _SHOWN)
    devices = recent_devices(parts)
    states = [device_state(row) for row in devices]
    return {
        "campaigns": [progress_of(parts, one) for one in found],
        "shown": _SHOWN,
        "devices": len(devices),
        "devices_watched": sum(one in ("free", "busy") for one in states),
        "devices_wrong": sum(one in ("quarantined", "lost") for one in states),
    }


def _chosen(text: str) -> CampaignState | None:
    """Read the state of the form; None for all."""
    if text in ("", _ANY):
        return None
    if text not in [one.value for one in CampaignState]:
        raise UsageError(f"{text!r} is no state of campaigns")
    return CampaignState(text)
