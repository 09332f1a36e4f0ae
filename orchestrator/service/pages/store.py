"""The store in numbers; and, for administrators, tokens and the audit."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from orchestrator.service.access.identity import Admin, Reader
from orchestrator.service.pages.render import page
from orchestrator.service.parts import Parts, parts_of
from orchestrator.service.reading import recent_statistics

__all__ = ["router"]

router = APIRouter()
_Parts = Annotated[Parts, Depends(parts_of)]
_ENTRIES = 200


@router.get("/store")
def store(request: Request, parts: _Parts, who: Reader) -> HTMLResponse:
    """Say how much is stored."""
    values = {"found": recent_statistics(parts), "url": parts.store.url, "who": who}
    return page(request, "store.html", values)


@router.get("/access")
def access(request: Request, parts: _Parts, who: Admin) -> HTMLResponse:
    """Show the tokens, and what was done with them."""
    values = {"tokens": parts.store.tokens.all(), "entries": parts.store.audit.newest(_ENTRIES), "who": who}
    return page(request, "access.html", values)
