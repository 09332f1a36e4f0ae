"""The application: its answers, what errors become, and what goes with every answer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles

from orchestrator.documents.schema import titled
from orchestrator.errors import StorageError, TunefleetError, UsageError
from orchestrator.service import metrics
from orchestrator.service.api import answers as api_answers
from orchestrator.service.api import builds as api_builds
from orchestrator.service.api import campaigns as api_campaigns
from orchestrator.service.api import models as api_models
from orchestrator.service.api import records as api_records
from orchestrator.service.body_limit import BodyLimit
from orchestrator.service.headers import SecurityHeaders
from orchestrator.service.pages import PAGES
from orchestrator.service.pages.render import error_page
from orchestrator.service.parts import Parts
from orchestrator.service.reading import recent_statistics
from orchestrator.service.refusals import RefusedError, status_of

__all__ = ["API", "make_app"]

API = "/api/v1"
# Of a campaign, a priority, a build: what is uploaded has limits of its own.
_MOST_BYTES = 2**20
_STATIC = Path(__file__).parent / "static"
_ERROR = {
    "description": "What was wrong, as the document `error`.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["schema", "command", "error"],
                "properties": {
                    "schema": {"const": "tunefleet/error/1"},
                    "command": {"type": "string"},
                    "error": {
                        "type": "object",
                        "required": ["kind", "message", "exit_code"],
                        "properties": {
                            "kind": {"type": "string"},
                            "message": {"type": "string"},
                            "exit_code": {"type": "integer"},
                        },
                    },
                },
            }
        }
    },
}


def _count(parts: Parts) -> None:
    # Whoever asks is told what is wrong.
    with contextlib.suppress(StorageError):
        recent_statistics(parts)


def make_app(parts: Parts) -> FastAPI:
    """Make the application of a service."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        parts.uploads.clear()
        # Whoever looks at the store first would wait for it to be counted.
        threading.Thread(target=_count, args=(parts,), name="tunefleet-counting", daemon=True).start()
        yield
        parts.builds.stop()

    app = FastAPI(
        title="tunefleet",
        version=version("tunefleet"),
        description="Campaigns, models and records of a tunefleet store. Answers are the documents of the "
        "commands' `--json`.",
        openapi_url=f"{API}/openapi.json",
        # Their pages take scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        lifespan=life,
    )
    app.state.parts = parts
    refused: dict[int | str, dict[str, Any]] = dict.fromkeys(
        (400, 401, 403, 404, 409, 422, 429, 503, 507), _ERROR
    )
    api = APIRouter(prefix=API, responses=refused, dependencies=[Depends(_refuse_no_text)])
    for module in (api_campaigns, api_models, api_answers, api_builds, api_records):
        api.include_router(module.router)
    app.include_router(api)
    app.include_router(metrics.router, include_in_schema=False)
    for router in PAGES:
        app.include_router(router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    streamed = frozenset({f"{API}/models", f"{API}/records"})
    app.add_middleware(BodyLimit, most=_MOST_BYTES, streamed=streamed, refuse=_refuse)
    # The last one is the outermost: what it adds goes with every answer.
    app.add_middleware(SecurityHeaders, tls=parts.settings.certificate is not None)
    app.add_exception_handler(TunefleetError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_values)
    app.add_exception_handler(HTTPException, _refuse_request)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _fault)
    return app


def _refuse_no_text(request: Request) -> None:
    """Refuse what no database keeps as text.

    Raises
    ------
    UsageError
    """
    for name, value in request.query_params.multi_items():
        if "\x00" in name + value:
            raise UsageError(f"{name[:80]!r} is no text: it holds a NUL")


def _answer(
    request: Request, status: int, kind: str, text: str, exit_code: int, headers: dict[str, str] | None = None
) -> Response:
    if request.url.path.startswith((API, "/metrics")):
        error = {"kind": kind, "message": text, "exit_code": exit_code}
        document = titled("error", {"command": f"{request.method} {request.url.path}", "error": error})
        return JSONResponse(document, status, headers)
    return error_page(request, status, text, headers)


def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, TunefleetError)
    headers = error.headers if isinstance(error, RefusedError) else None
    return _answer(request, status_of(error), type(error).__name__, str(error), error.exit_code, headers)


def _refuse_values(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    told = "; ".join(
        f"{'.'.join(str(part) for part in one['loc'][1:]) or one['loc'][0]}: {one['msg']}"
        for one in error.errors()[:5]
    )
    return _answer(request, 422, "UsageError", f"this can't be right: {told}", 2)


def _refuse_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = {
        404: f"there is nothing at {request.url.path}",
        405: f"{request.method} is not for {request.url.path}",
    }
    return _answer(
        request,
        error.status_code,
        "UsageError",
        text.get(error.status_code, str(error.detail)),
        2,
        dict(error.headers or {}),
    )


def _gone(_: Request, __: Exception) -> Response:
    # Nobody reads it.
    return Response(status_code=400)


def _fault(request: Request, error: Exception) -> Response:
    words = "this is a bug in tunefleet; what the server wrote to stderr says which"
    return _answer(request, 500, type(error).__name__, words, 1)
