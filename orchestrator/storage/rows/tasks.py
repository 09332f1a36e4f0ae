"""Tasks of campaigns and of models, and how far the store is for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from orchestrator.storage.rows.insides import Inside, expected_call_s
from orchestrator.storage.rows.trials import TrialRow

__all__ = ["CampaignTaskRow", "ModelTaskRow", "NewTask", "TaskStanding", "TaskState"]


class TaskState(str, Enum):
    """Where a task of a campaign stands; all but ``OPEN`` are final for that campaign."""

    OPEN = "open"
    SATISFIED = "satisfied"
    PLATEAUED = "plateaued"
    EXHAUSTED = "exhausted"
    FAILED = "failed"


@dataclass(frozen=True)
class NewTask:
    """A workload to be tuned for a device class within a campaign.

    Attributes
    ----------
    weight : int
        Calls in all models of the campaign together.
    budget : int
        Trials wanted in all, those already stored included.
    stored_before : int
        Trials stored when the task was planned: what the campaign did not have to measure.
    """

    workload_hash: str
    device_class: str
    name: str
    weight: int
    budget: int
    stored_before: int = 0
    state: TaskState = TaskState.OPEN
    note: str = ""


@dataclass(frozen=True)
class TaskStanding:
    """What the store knows of a workload on a device class.

    Attributes
    ----------
    stored : int
        Trials that were measured with the current toolchain.
    since_best : int
        Those of them that were recorded after the best one; all of them where none succeeded.
    exhausted : bool
        A search found nothing new to propose.
    stale : int
        Trials that were measured with another toolchain, and succeeded.
    """

    stored: int = 0
    since_best: int = 0
    exhausted: bool = False
    stale: int = 0


@dataclass(frozen=True)
class ModelTaskRow:
    """A task of an extracted model, and the best that is stored for it.

    Attributes
    ----------
    trials, failures, stale : int
        Stored for the workload on the asked device class, whoever measured them; how many of them failed, and
        how many were not measured with the current toolchain.
    best : TrialRow or None
        With its trace; a stale one where there is no other.
    """

    name: str
    weight: int
    workload_hash: str
    flops: float
    trials: int
    failures: int
    best: TrialRow | None
    stale: int = 0


@dataclass(frozen=True)
class CampaignTaskRow:
    """A task of a campaign, with its progress as derived from the trials.

    Attributes
    ----------
    stored, stored_failures : int
        Trials there now for the workload on the device class that were measured with the current toolchain,
        whoever did.
    stale : int
        Those that were measured with another.
    measured, measured_failures : int
        Those that this campaign recorded.
    best_s : float or None
        Lowest cost in seconds, of the current toolchain where there is any.
    best_stale : bool
        It is of another.
    best_trial_id, best_at : int or None, datetime or None
        The trial that has it, and when that was recorded.
    inside : Inside or None
        What a call takes inside its model; None where nobody looked.
    """

    id: int
    campaign_id: int
    workload_hash: str
    workload_name: str
    flops: float
    device_class: str
    name: str
    weight: int
    budget: int
    stored_before: int
    state: TaskState
    note: str
    stored: int
    stored_failures: int
    measured: int
    measured_failures: int
    best_s: float | None
    best_trial_id: int | None
    best_at: datetime | None
    stale: int = 0
    best_stale: bool = False
    inside: Inside | None = None

    @property
    def expected_s(self) -> float | None:
        """Seconds of all its calls in one inference, where that is known; see :meth:`.Inside.expected_s`."""
        call_s = expected_call_s(self.inside, self.best_s)
        return None if call_s is None else call_s * self.weight
