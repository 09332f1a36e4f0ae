"""Submitting: what may be asked for through the service, and what becomes of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.campaigns.running.submit import submit
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.errors import UsageError
from orchestrator.models.request import ModelRequest
from orchestrator.service.access.identity import Identity
from orchestrator.service.access.quotas import (
    require_own,
    require_priority,
    require_quota,
    require_quota_to_resume,
)
from orchestrator.service.parts import Parts
from orchestrator.storage import CampaignRequest, CampaignRow
from workers import environments

__all__ = ["Submission", "SubmittedModel", "ask_for", "set_priority", "submit_campaign"]

_Count = Annotated[int, Field(gt=0, le=2**31 - 1)]
_Name = Annotated[str, Field(min_length=1, max_length=100)]
_Setting = bool | int | float | Annotated[str, Field(max_length=200)]
_Dimension = Annotated[int, Field(gt=0, le=2**31 - 1)]


class SubmittedModel(BaseModel):
    """A model that was uploaded.

    Attributes
    ----------
    sha256 : str
        As its upload was answered.
    shapes : dict of str to list of int
        Input shapes, for inputs whose shape is open.
    """

    model_config = ConfigDict(extra="forbid")

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    shapes: dict[str, list[_Dimension]] = Field(default_factory=dict, max_length=100)


class Timing(BaseModel):
    """How candidates are timed; what is left out is as `tunefleet submit` has it."""

    model_config = ConfigDict(extra="forbid")

    number: int | None = Field(default=None, ge=1, le=10**6)
    repeat: int | None = Field(default=None, ge=1, le=10**4)
    min_repeat_ms: int | None = Field(default=None, ge=0, le=60_000)
    timeout_s: float | None = Field(default=None, gt=0, le=3600)


class Submission(BaseModel):
    """A campaign as it is asked for; what is left out is as `tunefleet submit` has it."""

    model_config = ConfigDict(extra="forbid")

    models: list[SubmittedModel] = Field(min_length=1, max_length=100)
    name: str | None = Field(default=None, max_length=200)
    priority: int = Field(default=0, ge=-1000, le=1000)
    targets: list[Annotated[str, Field(max_length=2000)]] | None = Field(
        default=None, min_length=1, max_length=20
    )
    engine: str = Field(default="metaschedule", max_length=100)
    trials: _Count | None = None
    trials_per_task: _Count | None = None
    time_s: float | None = Field(default=None, gt=0, le=1e9)
    until: Annotated[float, Field(gt=0, le=1e6)] | Literal["onnxruntime"] | None = None
    plateau: _Count | None = None
    tasks: str | None = Field(default=None, max_length=200)
    seed: int = Field(default=1, ge=1, lt=2**31)
    layout: str = Field(default="auto", max_length=100)
    layout_tuning: Literal["auto", "none"] = "auto"
    revalidate: int | None = Field(default=None, ge=0, le=1000)
    full_timing: bool = False
    verify_candidates: bool = False
    evaluator: Timing | None = None
    search: dict[_Name, _Setting] | None = Field(default=None, max_length=100)
    boards: dict[_Name, Annotated[str, Field(max_length=2000)]] | None = Field(
        default=None, min_length=1, max_length=20
    )


def submit_campaign(parts: Parts, identity: Identity, asked: Submission) -> CampaignRow:
    """Leave a campaign to a coordinator.

    Raises
    ------
    RefusedError
        A quota is used up, or the priority is above what the token may give.
    NotFoundError
        A model was not uploaded.
    UsageError
        It can't be asked for so.
    """
    require_priority(identity, asked.priority)
    engines = environments.names()
    if asked.engine not in engines:
        raise UsageError(f"there is no engine {asked.engine[:80]!r}; there are: {', '.join(engines)}")
    search = [text for pair in (asked.search or {}).items() for text in pair if isinstance(text, str)]
    boards = [text for pair in (asked.boards or {}).items() for text in pair]
    for text in (asked.name, asked.tasks, asked.layout, *(asked.targets or ()), *search, *boards):
        if text is not None and not _is_text(text):
            raise UsageError(f"{text[:80]!r} is no text: it holds a NUL, or half of a character")
    models = tuple(
        ModelRequest(
            path=parts.uploads.location_of(model.sha256),
            shapes={name: tuple(shape) for name, shape in model.shapes.items()},
        )
        for model in asked.models
    )
    values: dict[str, Any] = asked.model_dump(
        exclude_none=True, exclude={"models", "name", "priority", "search"}
    )
    if asked.search:
        values["search"] = {"settings": asked.search}
    spec = CampaignSpec.of({**values, "models": models})
    with parts.submitting:
        require_quota(parts, identity)
        row = submit(parts.store, spec, name=asked.name, priority=asked.priority)
        if identity.token is not None:
            parts.store.submissions.put(row.id, identity.token.id)
    parts.store.audit.note(
        identity.entry(
            "submit", f"campaign {row.id}", name=row.name, models=[model.sha256 for model in asked.models]
        )
    )
    return row


def ask_for(parts: Parts, identity: Identity, campaign: str, wanted: CampaignRequest) -> CampaignRow:
    """Ask for a campaign to be paused, resumed or cancelled.

    Raises
    ------
    NotFoundError
    RefusedError
        It is another's, or its token has used up what it has.
    UsageError
        It has ended.
    """
    row = parts.store.campaigns.get(campaign)
    require_own(parts, identity, row)
    with parts.submitting:
        if wanted is CampaignRequest.RESUME:
            require_quota_to_resume(parts, row)
        row = parts.store.campaigns.request(row.id, wanted)
    parts.store.audit.note(identity.entry(wanted.value, f"campaign {row.id}"))
    return row


def set_priority(parts: Parts, identity: Identity, campaign: str, priority: int) -> CampaignRow:
    """Give a campaign another priority.

    Raises
    ------
    NotFoundError
    RefusedError
        It is another's, or the priority is above what the token may give.
    """
    row = parts.store.campaigns.get(campaign)
    require_own(parts, identity, row)
    require_priority(identity, priority)
    row = parts.store.campaigns.set_priority(row.id, priority)
    parts.store.audit.note(identity.entry("priority", f"campaign {row.id}", priority=priority))
    return row


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in text
