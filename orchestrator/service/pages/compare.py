"""Two campaigns beside each other."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from orchestrator.documents.comparison import change, read_comparison, tuned_s
from orchestrator.service.access.identity import Reader
from orchestrator.service.pages.render import page
from orchestrator.service.parts import Parts, parts_of
from orchestrator.service.reading import recent_campaigns

__all__ = ["router"]

router = APIRouter()


@router.get("/compare")
def compare(
    request: Request,
    parts: Annotated[Parts, Depends(parts_of)],
    who: Reader,
    first: Annotated[str | None, Query(max_length=200)] = None,
    second: Annotated[str | None, Query(max_length=200)] = None,
) -> HTMLResponse:
    """Say what changed between two campaigns; without them, ask which."""
    comparison = read_comparison(parts.store, first, second) if first and second else None
    values = {
        "who": who,
        "comparison": comparison,
        "first": first or "",
        "second": second or "",
        "known": [one.campaign for one in recent_campaigns(parts)],
        "change": change,
        "tuned_s": tuned_s,
    }
    return page(request, "compare.html", values)
