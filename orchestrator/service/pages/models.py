"""Models: what was tuned, how fast it is, and with which schedules."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import HTMLResponse

from orchestrator.documents.profile import shown_tasks
from orchestrator.service.access.identity import Reader
from orchestrator.service.pages.render import page
from orchestrator.service.parts import Parts, parts_of
from orchestrator.service.reading import model_device
from orchestrator.service.schedules import schedule_text
from orchestrator.storage import VerificationRow

__all__ = ["router"]

router = APIRouter()
_Parts = Annotated[Parts, Depends(parts_of)]
_Model = Annotated[int, Path(ge=1, le=2**31 - 1)]
_SHOWN = 100
# Of the time of a model's kernels.
_WORTH_A_LINE = 0.01


@router.get("/models")
def models(request: Request, parts: _Parts, who: Reader) -> HTMLResponse:
    """List the models that campaigns prepared."""
    found = parts.store.models.newest(_SHOWN)
    return page(request, "models.html", {"models": found, "shown": _SHOWN, "who": who})


@router.get("/models/{model}")
def model(
    request: Request,
    parts: _Parts,
    who: Reader,
    model: _Model,
    device: Annotated[str | None, Query(max_length=200)] = None,
) -> HTMLResponse:
    """Show a model: its comparisons over time, and where its time goes."""
    values = parts.recent.get(("model page", model, device), lambda: _values(parts, model, device))
    return page(request, "model.html", {**values, "who": who})


@router.get("/trials/{trial}/schedule")
def schedule(
    request: Request, parts: _Parts, _who: Reader, trial: Annotated[int, Path(ge=1, le=2**31 - 1)]
) -> HTMLResponse:
    """Write the schedule of a trial as text: a part of a model's page, loaded when it is asked for."""
    text = schedule_text(parts, trial)
    return page(request, "_schedule.html", {"text": text, "trial": trial})


def _values(parts: Parts, model: int, device: str | None) -> dict[str, Any]:
    row = parts.store.models.get(model)
    classes = parts.store.extractions.device_classes(model)
    here = model_device(parts, model, device) if classes else None
    compared = [
        one
        for one in parts.store.verifications.of_model(model, limit=_SHOWN)
        if here is None or one.device_class == here.device_class
    ]
    shares = (
        parts.store.answers.slowest(model, here.device_class, here.engine_version)
        if here is not None
        else None
    )
    profile = parts.store.profiles.latest(model, here.device_class) if here is not None else None
    return {
        "model": row,
        "classes": classes,
        "here": here,
        "compared": compared,
        "shares": shares,
        "profile": profile,
        "inside": None if profile is None else shown_tasks(profile.document, _WORTH_A_LINE),
        "charts": {"compared": [_point(one) for one in compared]},
    }


def _point(row: VerificationRow) -> list[Any]:
    return [row.created_at.timestamp(), row.untuned_s, row.tuned_s, row.reference_s]
