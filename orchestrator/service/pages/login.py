"""Logging in with a token, and out."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from orchestrator.service.access.identity import COOKIE, refuse_other_sites, token_named
from orchestrator.service.pages.render import page
from orchestrator.service.parts import Parts, parts_of
from orchestrator.service.refusals import RefusedError

__all__ = ["router"]

router = APIRouter()
_Parts = Annotated[Parts, Depends(parts_of)]
# A form with a token and a path.
_MOST_BYTES = 10_000
_DAYS_SECONDS = 30 * 86400


@router.get("/login")
def ask(request: Request, next: str = "/") -> Response:
    """Ask for a token."""
    return page(request, "login.html", {"wrong": "", "next_path": _local(next)})


@router.post("/login")
async def login(request: Request, parts: _Parts) -> Response:
    """Take a token, and keep it in a cookie that no script can read."""
    refuse_other_sites(request)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise RefusedError(413, "this is no token")
    form = parse_qs(body.decode("ascii", "replace"))
    token = form.get("token", [""])[0].strip()
    next_path = _local(form.get("next", ["/"])[0])
    address = request.client.host if request.client else ""
    try:
        await run_in_threadpool(token_named, parts, token, address)
    except RefusedError as error:
        values = {"wrong": str(error), "next_path": next_path}
        answer = page(request, "login.html", values, status=error.status)
        answer.headers.update({k: v for k, v in error.headers.items() if k == "Retry-After"})
        return answer
    done = RedirectResponse(next_path, 303)
    done.set_cookie(
        COOKIE,
        token,
        max_age=_DAYS_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return done


@router.post("/logout")
def logout(request: Request) -> Response:
    """Forget the token."""
    refuse_other_sites(request)
    done = RedirectResponse("/login", 303)
    done.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return done


def _local(path: str) -> str:
    """Return a path of this service; none that leads to another one."""
    # Browsers take a backslash for a slash, leave tabs and ends of lines out, and read a host after "//".
    local = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if local else "/"
