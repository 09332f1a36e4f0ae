"""The form that submits a campaign."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from orchestrator.service.access.identity import Submitter
from orchestrator.service.access.quotas import highest_priority, upload_limit
from orchestrator.service.pages.render import page
from orchestrator.service.parts import Parts, parts_of
from workers import environments

__all__ = ["router"]

router = APIRouter()


@router.get("/submit")
def submit(request: Request, parts: Annotated[Parts, Depends(parts_of)], who: Submitter) -> HTMLResponse:
    """Show the form."""
    values = {
        "who": who,
        "engines": environments.names(),
        "upload_limit": upload_limit(parts, who),
        "highest_priority": highest_priority(who),
    }
    return page(request, "submit.html", values)
