"""Models: uploaded, and what is stored of them."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Request

from orchestrator.documents.best import task_best_document
from orchestrator.documents.history import history_document
from orchestrator.documents.intervals import level_with
from orchestrator.documents.models import model_document, upload_document
from orchestrator.documents.schema import titled
from orchestrator.documents.slowest import slowest_document
from orchestrator.errors import NotFoundError
from orchestrator.service.access.identity import Reader, Submitter
from orchestrator.service.access.quotas import upload_limit
from orchestrator.service.parts import Parts, parts_of
from orchestrator.service.reading import model_device

__all__ = ["router"]

router = APIRouter(tags=["models"])
_Parts = Annotated[Parts, Depends(parts_of)]
_Model = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of a model, as `show` has it.")]
_Device = Annotated[str | None, Query(max_length=200, description="A device class, or a part of its name.")]
_Document = dict[str, Any]
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
) -> _Document:
    """Upload a model, as the body; it is kept by its content, whose SHA-256 a campaign names it by."""
    found = await parts.uploads.take(name, request.stream(), upload_limit(parts, who))
    if not found.known:
        entry = who.entry("upload", found.sha256, name=found.path.name, bytes=found.size_bytes)
        await to_thread.run_sync(parts.store.audit.note, entry)
    return titled(
        "upload",
        upload_document(found.sha256, found.path.name, found.size_bytes, found.inputs, known=found.known),
    )


@router.get("/models")
def models(parts: _Parts, _who: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 50) -> _Document:
    """List the models that campaigns prepared, the newest first."""
    found = parts.store.models.newest(limit)
    return titled("models", {"models": [model_document(row) for row in found]})


@router.get("/models/{model}")
def model(parts: _Parts, _who: Reader, model: _Model) -> _Document:
    """Say what a model is, and on which devices it was tuned."""
    row = parts.store.models.get(model)
    return titled("model", model_document(row, parts.store.extractions.device_classes(model)))


@router.get("/models/{model}/best")
def best(parts: _Parts, _who: Reader, model: _Model, device: _Device = None) -> _Document:
    """Return the best of each task of a model, with its trace; the document of `tunefleet best MODEL`."""
    here = model_device(parts, model, device)
    rows = parts.store.trials.best_for_model(model, here.device_class, here.engine_version)
    measured = parts.store.measurements.of_trials([row.best.id for row in rows if row.best is not None])
    level = {
        row.workload_hash: level_with(parts.store.trials.best(row.workload_hash, here.device_class, 2))
        for row in rows
        if row.best is not None
    }
    return titled("best", task_best_document(rows, measured, level))


@router.get("/models/{model}/history")
def history(parts: _Parts, _who: Reader, model: _Model, device: _Device = None) -> _Document:
    """Return how a model's expected time went down; the document of `tunefleet history MODEL`."""
    row = parts.store.models.get(model)
    here = model_device(parts, model, device)
    points = parts.store.answers.model_history(model, here.device_class, here.engine_version)
    if not points:
        raise NotFoundError(f"no trial of {row.name} succeeded on {here.device_class}")
    return titled("history", history_document(row.name, here.device_class, here.tasks, points, of_model=True))


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
