"""Models: uploaded, and what is stored of them."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from orchestrator.documents.best import BestTask
from orchestrator.documents.history import history_document
from orchestrator.documents.intervals import level_with
from orchestrator.documents.models import model_document, upload_document
from orchestrator.documents.profile import chrome_trace
from orchestrator.documents.schema import titled
from orchestrator.documents.slowest import slowest_document
from orchestrator.errors import NotFoundError
from orchestrator.service.access.identity import Reader, Submitter
from orchestrator.service.access.quotas import upload_limit
from orchestrator.service.api.best import Schedules, Top, best_document
from orchestrator.service.parts import Parts, parts_of
from orchestrator.service.reading import latest_profile, model_device
from orchestrator.service.uploads.folder import Upload

__all__ = ["router"]

router = APIRouter(tags=["models"])
_Parts = Annotated[Parts, Depends(parts_of)]
_Model = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of a model, as `show` has it.")]
_Device = Annotated[str | None, Query(max_length=200, description="A device class, or a part of its name.")]
_Document = dict[str, Any]
_SHA256 = "^[0-9a-f]{64}$"
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The ONNX file.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("/models", status_code=201, openapi_extra=_BODY)
async def upload(
    parts: _Parts,
    who: Submitter,
    request: Request,
    name: Annotated[str, Query(max_length=500, description="What the file is called.")] = "model.onnx",
    sha256: Annotated[
        str | None, Query(pattern=_SHA256, description="Of the file, if it is to arrive as it was sent.")
    ] = None,
) -> _Document:
    """Upload a model, as the body; it is kept by its content, whose SHA-256 a campaign names it by."""
    found = await parts.uploads.take(name, request.stream(), upload_limit(parts, who), sha256)
    if not found.known:
        entry = who.entry("upload", found.sha256, name=found.name, bytes=found.size_bytes)
        await to_thread.run_sync(parts.store.audit.note, entry)
    return titled(
        "upload",
        upload_document(found.sha256, found.name, found.size_bytes, found.inputs, known=found.known),
    )


@router.get("/uploads/{sha256}")
async def uploaded(
    parts: _Parts, _who: Submitter, sha256: Annotated[str, Path(pattern=_SHA256)]
) -> _Document:
    """Say what was uploaded under a SHA-256; who has that file need not send it."""
    # What isn't there need not wait to be looked into.
    await to_thread.run_sync(parts.uploads.location_of, sha256)

    def find() -> Upload:
        # Looking into it again would take a second of a core; the file never changes.
        return parts.recent.get(("upload", sha256), lambda: parts.uploads.find(sha256), seconds=3600.0)

    found = await to_thread.run_sync(find, limiter=parts.uploads.examining)
    return titled(
        "upload", upload_document(found.sha256, found.name, found.size_bytes, found.inputs, known=True)
    )


@router.get("/models")
def models(
    parts: _Parts,
    _who: Reader,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    sha256: Annotated[str | None, Query(pattern=_SHA256, description="Only what this file became.")] = None,
) -> _Document:
    """List the models that campaigns prepared, the newest first."""
    found = parts.store.models.newest(limit) if sha256 is None else parts.store.models.of_file(sha256)[:limit]
    return titled("models", {"models": [model_document(row) for row in found]})


@router.get("/models/{model}")
def model(parts: _Parts, _who: Reader, model: _Model) -> _Document:
    """Say what a model is, and on which devices it was tuned."""
    row = parts.store.models.get(model)
    return titled("model", model_document(row, parts.store.extractions.device_classes(model)))


@router.get("/models/{model}/best")
def best(
    parts: _Parts,
    _who: Reader,
    model: _Model,
    device: _Device = None,
    top: Top = 1,
    schedules: Schedules = False,
) -> _Document:
    """Return the best of each task of a model, with its trace; the document of `tunefleet best MODEL`."""
    here = model_device(parts, model, device)
    rows = parts.store.trials.best_for_model(model, here.device_class, here.engine_version)
    tasks = []
    for row in rows:
        found = parts.store.trials.best(row.workload_hash, here.device_class, max(2, top))
        tasks.append(
            BestTask(row.name, row.workload_hash, row.weight, row.flops, found[:top], level_with(found))
        )
    return best_document(parts, tasks, schedules)


@router.get("/models/{model}/history")
def history(
    parts: _Parts,
    _who: Reader,
    model: _Model,
    device: _Device = None,
    last: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only so many, the last ones.")] = None,
) -> _Document:
    """Return how a model's expected time went down; the document of `tunefleet history MODEL`."""
    row = parts.store.models.get(model)
    here = model_device(parts, model, device)
    points = parts.store.answers.model_history(model, here.device_class, here.engine_version, last=last)
    if not points:
        raise NotFoundError(f"no trial of {row.name} succeeded on {here.device_class}")
    return titled("history", history_document(row.name, here.device_class, here.tasks, points))


@router.get("/models/{model}/slowest")
def slowest(
    parts: _Parts,
    _who: Reader,
    model: _Model,
    device: _Device = None,
    top: Annotated[int, Query(ge=1, le=10000)] = 10,
) -> _Document:
    """Say where a model's time goes; the document of `tunefleet slowest`."""
    row = parts.store.models.get(model)
    here = model_device(parts, model, device)
    shares = parts.store.answers.slowest(model, here.device_class, here.engine_version, limit=top)
    return titled("slowest", slowest_document(row.name, here.device_class, shares))


@router.get("/models/{model}/profile")
def profile(parts: _Parts, _who: Reader, model: _Model, device: _Device = None) -> _Document:
    """Say where a model's time went, kernel by kernel, when `tunefleet profile` looked last; its document."""
    return titled("profile", latest_profile(parts, model, device).document)


@router.get("/models/{model}/profile/trace")
def profile_trace(parts: _Parts, _who: Reader, model: _Model, device: _Device = None) -> Response:
    """Return the same call by call, in Google's Trace Event Format: for chrome://tracing or Perfetto."""
    row = latest_profile(parts, model, device)
    name = f"profile-{row.id}.trace.json"
    return JSONResponse(
        chrome_trace(row.document), headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
