"""Campaigns and their models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

__all__ = [
    "BEGUN_STATES",
    "ENDED_STATES",
    "RESTING_STATES",
    "CampaignModelRow",
    "CampaignRequest",
    "CampaignRow",
    "CampaignState",
    "NewCampaignModel",
    "NewSearch",
]


class CampaignState(str, Enum):
    """Where a campaign stands."""

    QUEUED = "queued"
    EXTRACTING = "extracting"
    TUNING = "tuning"
    VERIFYING = "verifying"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


BEGUN_STATES = frozenset({CampaignState.EXTRACTING, CampaignState.TUNING, CampaignState.VERIFYING})
ENDED_STATES = frozenset({CampaignState.DONE, CampaignState.FAILED, CampaignState.CANCELLED})
RESTING_STATES = ENDED_STATES | {CampaignState.PAUSED}


class CampaignRequest(str, Enum):
    """What a person asks of a campaign that some other process may be running."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


@dataclass(frozen=True)
class NewCampaignModel:
    """A model file a campaign is to tune.

    Attributes
    ----------
    shapes : mapping of str to sequence of int
        Input shapes that were asked for by name.
    """

    path: str
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class NewSearch:
    """A piece of search that has ended.

    Attributes
    ----------
    host : str
        Where it ran.
    ended_ago_s, took_s : float
        Seconds.
    """

    host: str
    ended_ago_s: float
    took_s: float


@dataclass(frozen=True)
class CampaignRow:
    """A campaign.

    Attributes
    ----------
    name : str
        As given, or ``campaign-ID``.
    active_s : float
        Wall-clock seconds coordinators have spent on it, over all restarts.
    priority : int
        On a shared fleet, those of the highest come first.
    held : bool
        Whether, by the database's clock, the lease was live when this was read.
    """

    id: int
    name: str
    engine: str
    state: CampaignState
    spec: dict[str, Any]
    request: CampaignRequest | None
    message: str
    seed: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    active_s: float
    priority: int
    lease_owner: str | None
    lease_until: datetime | None
    held: bool


@dataclass(frozen=True)
class CampaignModelRow:
    """A model file of a campaign; ``model_id`` and ``model_name`` are None until it was prepared."""

    position: int
    path: str
    shapes: dict[str, tuple[int, ...]]
    model_id: int | None
    model_name: str | None
