"""Libraries: asked for, waited for, downloaded."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.documents.schema import titled
from orchestrator.errors import NotFoundError, TunefleetError
from orchestrator.service.access.identity import Reader, Submitter
from orchestrator.service.builds import Build
from orchestrator.service.parts import Parts, parts_of
from orchestrator.service.reading import model_device
from orchestrator.service.refusals import RefusedError
from orchestrator.storage import ModelRow

__all__ = ["router"]

router = APIRouter(tags=["builds"])
_Parts = Annotated[Parts, Depends(parts_of)]
_Build = Annotated[str, Path(max_length=64, description="As it was answered when the library was asked for.")]


class WantedBuild(BaseModel):
    """A library to build.

    Attributes
    ----------
    model : int
        Number of a model, as `show` has it.
    device : str, optional
        A device class, or a part of its name; the one with most results, if left out.
    require_complete : bool
        Fail where a task has no record.
    file : str
        What the library is to be called: what else belongs to it is called after it.
    """

    model_config = ConfigDict(extra="forbid")

    model: int = Field(ge=1, le=2**31 - 1)
    device: str | None = Field(default=None, max_length=200)
    require_complete: bool = False
    file: str = Field(default="model.so", pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,79}$")


@router.post("/builds", status_code=202)
def build(parts: _Parts, who: Submitter, wanted: WantedBuild) -> dict[str, Any]:
    """Have the library of a model built from the best that is stored; ask for its state until it is done."""
    model = parts.store.models.get(wanted.model)
    here = model_device(parts, wanted.model, wanted.device)
    path = _file_of(parts, model)
    row = parts.store.device_classes.find(here.device_class)
    assert row is not None
    arguments = [str(path), "--engine", row.engine, "--target", row.target]
    for shape in filter(None, model.shapes_key.split(";")):
        arguments += ["--input-shape", shape]
    if wanted.require_complete:
        arguments.append("--require-complete")
    found = parts.builds.start(model.id, here.device_class, arguments, wanted.file)
    parts.store.audit.note(who.entry("build", f"model {model.id}", device_class=here.device_class))
    return titled("service-build", _document(found))


@router.get("/builds/{build_id}")
def state(parts: _Parts, _who: Reader, build_id: _Build) -> dict[str, Any]:
    """Say how far a library is."""
    return titled("service-build", _document(parts.builds.get(build_id)))


@router.get(
    "/builds/{build_id}/library",
    response_class=FileResponse,
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
    },
)
def library(parts: _Parts, _who: Reader, build_id: _Build) -> FileResponse:
    """Download a library that is done."""
    found = parts.builds.get(build_id)
    if found.library is None:
        why = f": {found.error}" if found.error else ""
        raise RefusedError(409, f"this library is {found.state}{why}")
    name = parts.store.models.get(found.model_id).name
    return FileResponse(found.library, media_type="application/octet-stream", filename=f"{name}.so")


@router.get(
    "/builds/{build_id}/rest",
    response_class=FileResponse,
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
    },
)
def rest(parts: _Parts, _who: Reader, build_id: _Build) -> FileResponse:
    """Download what of the model onnxruntime runs, where the library is not the whole of it."""
    found = parts.builds.get(build_id)
    there = (found.report.get("rest") or {}).get("path")
    if found.library is None or there is None:
        raise NotFoundError(
            f"there is no rest of build {build_id}: its library is {found.state}, or the whole model"
        )
    path = found.library.with_name(FilePath(there).name)
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)


def _file_of(parts: Parts, model: ModelRow) -> FilePath:
    """Return the file of a model: where the coordinator had it, or as it was uploaded."""
    path = FilePath(model.path)
    if path.is_file():
        return path
    try:
        return parts.uploads.file_of(model.sha256)
    except TunefleetError:
        raise NotFoundError(
            f"the file of {model.name} is gone from the server: upload it, and submit it again"
        ) from None


def _document(found: Build) -> dict[str, Any]:
    return {
        "id": found.id,
        "model_id": found.model_id,
        "device_class": found.device_class,
        "state": found.state,
        "error": found.error,
        "report": found.report or None,
    }
