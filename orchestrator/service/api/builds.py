"""Libraries: asked for, waited for, downloaded."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.documents.schema import titled
from orchestrator.errors import NotFoundError
from orchestrator.service.access.identity import Reader, Submitter
from orchestrator.service.builds import Build
from orchestrator.service.parts import Parts, parts_of
from orchestrator.service.reading import model_device
from orchestrator.service.refusals import RefusedError

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
    """

    model_config = ConfigDict(extra="forbid")

    model: int = Field(ge=1, le=2**31 - 1)
    device: str | None = Field(default=None, max_length=200)


@router.post("/builds", status_code=202)
def build(parts: _Parts, who: Submitter, wanted: WantedBuild) -> dict[str, Any]:
    """Have the library of a model built from the best that is stored; ask for its state until it is done."""
    model = parts.store.models.get(wanted.model)
    here = model_device(parts, wanted.model, wanted.device)
    if not FilePath(model.path).is_file():
        raise NotFoundError(
            f"the file of {model.name} is gone from the server: upload it, and submit it again"
        )
    row = parts.store.device_classes.find(here.device_class)
    assert row is not None
    arguments = [model.path, "--engine", row.engine, "--target", row.target]
    for shape in filter(None, model.shapes_key.split(";")):
        arguments += ["--input-shape", shape]
    found = parts.builds.start(model.id, here.device_class, arguments)
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


def _document(found: Build) -> dict[str, Any]:
    return {
        "id": found.id,
        "model_id": found.model_id,
        "device_class": found.device_class,
        "state": found.state,
        "error": found.error,
        "report": found.report or None,
    }
