"""The devices, and how they stand."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from orchestrator.documents.devices import check_of, check_text, device_state
from orchestrator.service.access.identity import Reader
from orchestrator.service.live.sse import Event, Look, stream
from orchestrator.service.pages.render import page, render
from orchestrator.service.parts import Parts, parts_of
from orchestrator.service.reading import recent_checks, recent_devices

__all__ = ["router"]

router = APIRouter()
_Parts = Annotated[Parts, Depends(parts_of)]


@router.get("/devices")
def devices(request: Request, parts: _Parts, who: Reader) -> HTMLResponse:
    """Show them."""
    return page(request, "devices.html", {**_values(parts), "who": who})


@router.get("/devices/live")
def live(parts: _Parts, who: Reader) -> StreamingResponse:
    """Keep them up to date."""

    def look() -> Look:
        text = parts.recent.get("devices page", lambda: render("_devices.html", _values(parts)))
        return Look((Event("devices", text),))

    return stream(parts, who, look)


def _values(parts: Parts) -> dict[str, Any]:
    checks = recent_checks(parts)
    rows = ((row, check_of(row, checks)) for row in recent_devices(parts))
    return {"devices": [(row, device_state(row), check, check_text(check)) for row, check in rows]}
