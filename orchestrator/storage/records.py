"""What the storage takes and gives: frozen dataclasses of plain data, never a database object."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from workers.messages import Candidate, DeviceInfo, Measurement, TensorSpec, TrialState

__all__ = [
    "BEGUN_STATES",
    "ENDED_STATES",
    "RESTING_STATES",
    "BestOrder",
    "BestRow",
    "CampaignModelRow",
    "CampaignRequest",
    "CampaignRow",
    "CampaignState",
    "CampaignTaskRow",
    "ClassStatistics",
    "DeviceClassFailures",
    "DeviceClassRow",
    "DeviceRow",
    "FailureRow",
    "ImprovementRow",
    "ModelDeviceRow",
    "ModelRow",
    "ModelShares",
    "ModelTaskRow",
    "NewCampaignModel",
    "NewTask",
    "NewTrial",
    "NewVerification",
    "PruneCounts",
    "Sighting",
    "StoreStatistics",
    "TaskComparisonRow",
    "TaskOfCampaign",
    "TaskShareRow",
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
    again : tuple of float
        See :class:`TrialRow`.
    """

    workload_hash: str
    device_class: str
    candidate: Candidate
    measurement: Measurement
    campaign_id: int | None = None
    build_s: float = 0.0
    token: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    again: tuple[float, ...] = ()


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
class Sighting:
    """How a device stands.

    Attributes
    ----------
    key, host : str
        Under which it is known, and where.
    state : {'seen', 'free', 'busy', 'quarantined', 'lost'}
        ``seen`` says that nobody measures on it any more.
    message : str
        Its last error.
    trials_per_hour : float or None
        What it measured lately; None leaves what is stored.
    """

    key: str
    host: str
    info: DeviceInfo
    state: str = "seen"
    message: str = ""
    trials_per_hour: float | None = None


@dataclass(frozen=True)
class DeviceRow:
    """A device that was seen under a tracker key on a host.

    Attributes
    ----------
    state : str
        As of `last_seen_at`; see :class:`Sighting`.
    message : str
        Its last error.
    trials_per_hour : float or None
        In the campaign that measured on it last.
    model : str
        Name of the CPU or GPU; a board's key.
    """

    id: int
    key: str
    host: str
    device_class: str
    versions: dict[str, str]
    last_seen_at: datetime
    state: str
    message: str
    trials_per_hour: float | None
    model: str


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
        Median of ``again`` where that has any, or else of ``times``, in seconds of one call; None where the
        trial failed.
    again : tuple of float
        Times taken when it was measured once more, in turns with others about as fast.
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
    again: tuple[float, ...] = ()


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


class BestOrder(str, Enum):
    """How the best of many workloads are listed."""

    LATEST = "latest"
    NAME = "name"
    SLOWEST = "slowest"


@dataclass(frozen=True)
class BestRow:
    """The best trial of a workload on a device class.

    Attributes
    ----------
    name : str
        Of the workload.
    trials, failures : int
        Stored for the workload on that device class.
    best_s : float
        Seconds of one call.
    """

    name: str
    workload_hash: str
    engine: str
    flops: float
    device_class: str
    trials: int
    failures: int
    best_s: float
    trial_id: int
    campaign_id: int | None
    recorded_at: datetime


@dataclass(frozen=True)
class ModelDeviceRow:
    """A device class that a model was extracted for, as it was last.

    Attributes
    ----------
    tasks_timed : int
        Tasks that have a successful trial there.
    """

    device_class: str
    engine: str
    engine_version: str
    tasks: int
    tasks_timed: int


@dataclass(frozen=True)
class ImprovementRow:
    """A trial that was its workload's best when it was recorded.

    Attributes
    ----------
    name, weight : str, int
        Of the task in the model; of a workload alone, its own name and 1.
    cost_s, before_s : float, float or None
        Seconds of one call now, and of the best before; None where it was the first that succeeded.
    trials : int
        Trials recorded till then, of all tasks that were asked about, this one included.
    expected_s : float
        What the best times known then add up to in one run, of the tasks that had one.
    tasks_timed : int
        How many had one.
    """

    trial_id: int
    workload_hash: str
    name: str
    weight: int
    cost_s: float
    before_s: float | None
    campaign_id: int | None
    recorded_at: datetime
    trials: int
    expected_s: float
    tasks_timed: int


@dataclass(frozen=True)
class TaskShareRow:
    """A task of a model, and its part of what the best times add up to; None throughout where it has none.

    Attributes
    ----------
    expected_s : float or None
        Seconds of all its calls in one run.
    share, cumulative : float or None
        Part of the model's expected time, from 0 to 1: of this task, and of it and all slower ones.
    """

    name: str
    workload_hash: str
    weight: int
    flops: float
    trials: int
    best_s: float | None
    trial_id: int | None
    recorded_at: datetime | None
    expected_s: float | None
    share: float | None
    cumulative: float | None


@dataclass(frozen=True)
class ModelShares:
    """Where a model's time goes on a device class.

    Attributes
    ----------
    tasks_total, tasks_timed : int
        Tasks of the model, and those that have a time; all are counted, whatever the limit.
    expected_s : float
        Seconds of all timed tasks in one run.
    tasks : tuple of TaskShareRow
        The slowest first, those without a time last.
    """

    tasks_total: int
    tasks_timed: int
    expected_s: float
    tasks: tuple[TaskShareRow, ...]


@dataclass(frozen=True)
class FailureRow:
    """Trials of a device class that ended in the same way.

    Attributes
    ----------
    share : float
        Part of all trials there that were asked about, from 0 to 1.
    workloads : int
        Workloads that they belong to.
    message, message_trials : str, int
        What most of them said, and how many said exactly that.
    last_at : datetime
        When the last of them was recorded.
    """

    state: TrialState
    trials: int
    share: float
    workloads: int
    message: str
    message_trials: int
    last_at: datetime


@dataclass(frozen=True)
class DeviceClassFailures:
    """How trials failed on a device class; ``classes`` has the most frequent first."""

    device_class: str
    trials: int
    failed: int
    classes: tuple[FailureRow, ...]


@dataclass(frozen=True)
class TaskOfCampaign:
    """A task as a campaign left it.

    Attributes
    ----------
    measured, failures : int
        Trials the campaign measured, and those of them that failed.
    own_best_s : float or None
        The best that it measured itself, in seconds of one call.
    best_s : float or None
        The best that was stored when it ended, whoever measured it; the best there is, where it goes on.
    """

    weight: int
    budget: int
    measured: int
    failures: int
    own_best_s: float | None
    best_s: float | None


@dataclass(frozen=True)
class TaskComparisonRow:
    """A workload on a device class in two campaigns; None for the one that doesn't have it."""

    name: str
    workload_hash: str
    flops: float
    device_class: str
    first: TaskOfCampaign | None
    second: TaskOfCampaign | None


def records_key(trial_ids: Iterable[int]) -> str:
    """Name a set of trials, in whatever order: a build from the same trials has the same key.

    Trial ids are never reused, so the key stays good when trials are deleted.
    """
    text = ",".join(str(i) for i in sorted(set(trial_ids)))
    return hashlib.sha256(text.encode()).hexdigest()
