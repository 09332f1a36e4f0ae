"""Rows of the answers to people's questions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from workers.messages import TrialState

__all__ = [
    "BestOrder",
    "BestRow",
    "CurveRow",
    "DeviceClassFailures",
    "FailureRow",
    "ImprovementRow",
    "ModelShares",
    "PointRow",
    "SearchRow",
    "TaskComparisonRow",
    "TaskOfCampaign",
    "TaskShareRow",
    "WorkRow",
]


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
    stale : bool
        It was not measured with the current toolchain, for nothing was.
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
    stale: bool = False


@dataclass(frozen=True)
class CurveRow:
    """How fast a campaign's models were estimated to be on a device class, over its time.

    Attributes
    ----------
    library_s, reference_s : float or None
        Seconds of one inference of all models when it began: in the library that could be built then, and in
        onnxruntime. None where that isn't known of one of them.
    points : tuple of (float, float)
        Seconds since the campaign was started, and what the tasks' best times then add up to; from when all
        of them had one. At 0 where they had when it began.
    """

    device_class: str
    library_s: float | None
    reference_s: float | None
    points: tuple[tuple[float, float], ...]

    @property
    def passed_s(self) -> float | None:
        """Seconds after which that was onnxruntime's time or less; None where it wasn't, or isn't known.

        0 where the library that could be built when the campaign began took no more already.
        """
        reference_s = self.reference_s
        if reference_s is None:
            return None
        if self.library_s is not None and self.library_s <= reference_s:
            return 0.0
        return next((at_s for at_s, latency_s in self.points if latency_s <= reference_s), None)


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
        What the best times known then add up to in one run, of the tasks that had one; of a model with what
        kernels take longer, or less, inside it.
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
    best_s : float or None
        Seconds of one call, by its best trial; None where it has none.
    expected_s : float or None
        Seconds of all its calls in one run, with what they take longer, or less, inside the model; without a
        trial as they were seen there, with what was lent.
    share, cumulative : float or None
        Part of the model's expected time, from 0 to 1: of this task, and of it and all slower ones.
    stale : bool
        Its time was not taken with the current toolchain, for none was.
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
    stale: bool = False


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
    tasks_stale : int
        Tasks whose time is of another toolchain.
    """

    tasks_total: int
    tasks_timed: int
    expected_s: float
    tasks: tuple[TaskShareRow, ...]
    tasks_stale: int = 0


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
    best_stale : bool
        That was measured with another toolchain than the device is now.
    """

    weight: int
    budget: int
    measured: int
    failures: int
    own_best_s: float | None
    best_s: float | None
    best_stale: bool = False


@dataclass(frozen=True)
class TaskComparisonRow:
    """A workload on a device class in two campaigns; None for the one that doesn't have it."""

    name: str
    workload_hash: str
    flops: float
    device_class: str
    first: TaskOfCampaign | None
    second: TaskOfCampaign | None


@dataclass(frozen=True)
class PointRow:
    """A trial of a campaign as a point in a drawing.

    Attributes
    ----------
    at_s : float
        Seconds since the campaign was started.
    cost_s : float or None
        Seconds of one call; None where it failed.
    """

    trial_id: int
    at_s: float
    cost_s: float | None
    state: TrialState


@dataclass(frozen=True)
class SearchRow:
    """When a node searched for a campaign.

    Attributes
    ----------
    host : str
    began_s : float
        Seconds from the campaign's start.
    took_s : float
        Seconds, with those in which it stood still for a measurement on its cores.
    """

    host: str
    began_s: float
    took_s: float


@dataclass(frozen=True)
class WorkRow:
    """What was done for a trial of a campaign.

    Attributes
    ----------
    device, host : str
        What measured, and where; empty where its build failed.
    ended_s : float
        Seconds from the campaign's start to the measurement's end.
    run_s, build_s : float
        What the measurement took, and the build before it.
    """

    device: str
    host: str
    ended_s: float
    run_s: float
    build_s: float
