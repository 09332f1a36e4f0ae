"""What the storage takes and gives: frozen dataclasses of plain data, never a database object."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from workers.messages import Candidate, Measurement, TensorSpec, TrialState

__all__ = [
    "BEGUN_STATES",
    "ENDED_STATES",
    "RESTING_STATES",
    "CampaignModelRow",
    "CampaignRequest",
    "CampaignRow",
    "CampaignState",
    "CampaignTaskRow",
    "ClassStatistics",
    "DeviceClassRow",
    "DeviceRow",
    "ModelRow",
    "ModelTaskRow",
    "NewCampaignModel",
    "NewTask",
    "NewTrial",
    "NewVerification",
    "PruneCounts",
    "StoreStatistics",
    "TaskStanding",
    "TaskState",
    "TrialRow",
    "VerificationRow",
    "WorkloadRow",
    "records_key",
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
"""A coordinator works on it; found without a live lease, that coordinator died."""

ENDED_STATES = frozenset({CampaignState.DONE, CampaignState.FAILED, CampaignState.CANCELLED})
"""``finished_at`` is set. A failed campaign may be resumed; a done or cancelled one may not."""

RESTING_STATES = ENDED_STATES | {CampaignState.PAUSED}
"""Nobody works on it, so entering one of these gives the lease back."""


class CampaignRequest(str, Enum):
    """What a person asks of a campaign that some other process may be running."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


class TaskState(str, Enum):
    """Where a task of a campaign stands; all but ``OPEN`` are final for that campaign."""

    OPEN = "open"
    SATISFIED = "satisfied"
    PLATEAUED = "plateaued"
    EXHAUSTED = "exhausted"
    FAILED = "failed"


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
        Trials recorded.
    since_best : int
        Trials recorded after the best one; all of them where none succeeded.
    exhausted : bool
        A search found nothing new to propose.
    """

    stored: int = 0
    since_best: int = 0
    exhausted: bool = False


@dataclass(frozen=True)
class NewTrial:
    """One measured candidate, to be recorded.

    Attributes
    ----------
    build_s : float
        Wall-clock seconds the build took.
    token : str
        Of the attempt that measured it.
    versions : mapping of str to str
        What it was measured with (engine, compiler, driver).
    """

    workload_hash: str
    device_class: str
    candidate: Candidate
    measurement: Measurement
    campaign_id: int | None = None
    build_s: float = 0.0
    token: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NewVerification:
    """A built model's latencies (seconds of one inference) and its distance from the reference outputs.

    Attributes
    ----------
    records_key : str
        :func:`records_key` of the trials the build applied.
    untuned_s, tuned_s, reference_s : float or None
        None where it was not measured.
    max_abs, max_rel : float or None
        Largest absolute and relative difference of any output element.
    details : mapping
        Anything else, JSON.
    """

    model_id: int
    device_class: str
    records_key: str
    untuned_s: float | None = None
    tuned_s: float | None = None
    reference_s: float | None = None
    max_abs: float | None = None
    max_rel: float | None = None
    tasks_total: int = 0
    tasks_tuned: int = 0
    campaign_id: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelRow:
    """A model as it was prepared, without its bytes."""

    id: int
    sha256: str
    shapes_key: str
    name: str
    path: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    changes: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True)
class DeviceClassRow:
    """What makes run times comparable: a target and a device model."""

    id: int
    name: str
    engine: str
    target: str
    model: str
    cores: int
    kind: str


@dataclass(frozen=True)
class DeviceRow:
    """A device that was seen under a tracker key on a host."""

    id: int
    key: str
    host: str
    device_class: str
    versions: dict[str, str]
    last_seen_at: datetime


@dataclass(frozen=True)
class WorkloadRow:
    """A workload without its module; :meth:`Storage.get_workload` loads that."""

    id: int
    hash: str
    engine: str
    name: str
    flops: float
    created_at: datetime


@dataclass(frozen=True)
class TrialRow:
    """A stored trial.

    Attributes
    ----------
    candidate : str
        Hash of the candidate.
    cost_s : float or None
        Median of ``times``, in seconds of one call; None where the trial failed.
    trace : str or None
        The schedule. Only the lookups of the best load it; a listing leaves it out.
    """

    id: int
    workload_hash: str
    workload_name: str
    device_class: str
    candidate: str
    state: TrialState
    cost_s: float | None
    times: tuple[float, ...]
    message: str
    campaign_id: int | None
    device: str
    host: str
    versions: dict[str, str]
    build_s: float
    run_s: float
    token: str
    created_at: datetime
    trace: str | None = None


@dataclass(frozen=True)
class ModelTaskRow:
    """A task of an extracted model, and the best that is stored for it.

    Attributes
    ----------
    trials, failures : int
        Stored for the workload on the asked device class, whoever measured them.
    best : TrialRow or None
        With its trace.
    """

    name: str
    weight: int
    workload_hash: str
    flops: float
    trials: int
    failures: int
    best: TrialRow | None


@dataclass(frozen=True)
class CampaignRow:
    """A campaign.

    Attributes
    ----------
    name : str
        As given, or ``campaign-ID``.
    active_s : float
        Wall-clock seconds coordinators have spent on it, over all restarts.
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


@dataclass(frozen=True)
class CampaignTaskRow:
    """A task of a campaign, with its progress as derived from the trials.

    Attributes
    ----------
    stored, stored_failures : int
        Trials there now for the workload on the device class, whoever measured them.
    measured, measured_failures : int
        Those of them that this campaign measured.
    best_s : float or None
        Lowest cost in seconds.
    best_trial_id, best_at : int or None, datetime or None
        The trial that has it, and when that was recorded.
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


@dataclass(frozen=True)
class VerificationRow:
    """A stored verification; the fields are those of :class:`NewVerification`."""

    id: int
    campaign_id: int | None
    model_id: int
    device_class: str
    records_key: str
    untuned_s: float | None
    tuned_s: float | None
    reference_s: float | None
    max_abs: float | None
    max_rel: float | None
    tasks_total: int
    tasks_tuned: int
    details: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class ClassStatistics:
    """How much is stored for a device class.

    Attributes
    ----------
    device : str
        Its model, for people.
    trials, failures : int
        Trials, and how many of them failed.
    first_at, last_at : datetime
        When the first and the last of those still stored were recorded.
    """

    device_class: str
    engine: str
    device: str
    workloads: int
    trials: int
    failures: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True)
class StoreStatistics:
    """How much is stored; `size_bytes` is what the whole database takes."""

    classes: tuple[ClassStatistics, ...]
    workloads: int
    models: int
    campaigns: int
    verifications: int
    size_bytes: int


@dataclass(frozen=True)
class PruneCounts:
    """What a pruning deleted, or would delete.

    Attributes
    ----------
    before : int
        Trials stored before.
    trials, failures : int
        Trials deleted, and how many of them were failures.
    workloads : int
        Workloads deleted, because nothing referred to them any more; not counted beforehand.
    """

    before: int
    trials: int
    failures: int
    workloads: int


def records_key(trial_ids: Iterable[int]) -> str:
    """Name a set of trials, in whatever order: a build from the same trials has the same key.

    Trial ids are never reused, so the key stays good when trials are deleted.
    """
    text = ",".join(str(i) for i in sorted(set(trial_ids)))
    return hashlib.sha256(text.encode()).hexdigest()
