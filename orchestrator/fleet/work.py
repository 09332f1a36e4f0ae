"""What a fleet can be given to do: one type for each kind of work.

Two pieces of work are never equal, however alike they are: whoever gives one out finds in its completion the
same object, and can file under it what it was for.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.fleet.device import Device
from workers.messages import Artifact, Candidate, EvaluatorConfig, Record, SearchOptions, Workload

__all__ = [
    "ArtifactHandle",
    "BuildWork",
    "CheckWork",
    "CoreWork",
    "DeviceWork",
    "LearnWork",
    "MeasureWork",
    "OpenWork",
    "ProposeWork",
    "TrainWork",
    "Work",
]


class ArtifactHandle:
    """An artifact that was built and lies with the fleet. Each fleet has a subclass of its own."""


@dataclass(frozen=True, eq=False)
class OpenWork:
    """Open a search.

    Attributes
    ----------
    session : str
        Name of the search, by which later work is for it; no two searches ever have the same.
    history, related : tuple
        Records of this workload, and of others of its kind.
    """

    session: str
    workload: Workload
    target: str
    options: SearchOptions
    history: tuple[Record, ...]
    related: tuple[tuple[Workload, Record], ...]
    timeout_s: float


@dataclass(frozen=True, eq=False)
class ProposeWork:
    """Ask an open search for candidates.

    Attributes
    ----------
    cost_model : bytes or None
        A newer cost model than the search has.
    lent : tuple
        The fastest records of other workloads of its kind.
    """

    session: str
    count: int
    cost_model: bytes | None
    timeout_s: float
    lent: tuple[tuple[Workload, Record], ...] = ()


@dataclass(frozen=True, eq=False)
class LearnWork:
    """Tell an open search what came of its candidates."""

    session: str
    records: tuple[Record, ...]
    timeout_s: float


@dataclass(frozen=True, eq=False)
class TrainWork:
    """Train the cost model that all searches share."""

    samples: tuple[bytes, ...]
    timeout_s: float


@dataclass(frozen=True, eq=False)
class BuildWork:
    """Build a candidate.

    Attributes
    ----------
    checked : bool
        With what its outputs are compared by before it is timed.
    """

    workload: Workload
    target: str
    candidate: Candidate
    timeout_s: float
    checked: bool = False


@dataclass(frozen=True, eq=False)
class MeasureWork:
    """Measure an artifact on an idle device.

    Attributes
    ----------
    artifact : ArtifactHandle or Artifact
        As its build's completion has it, or the thing itself.
    best_known_s : float or None
        Seconds of the task's best trial; one that is far behind isn't timed in full. None for in full.
    """

    artifact: ArtifactHandle | Artifact
    device: Device
    evaluator: EvaluatorConfig
    best_known_s: float | None = None


@dataclass(frozen=True, eq=False)
class CheckWork:
    """Time a known kernel on an idle device: is it as fast as it was?"""

    artifact: ArtifactHandle | Artifact
    device: Device
    evaluator: EvaluatorConfig


#: What is done on the cores that search and build.
CoreWork = OpenWork | ProposeWork | LearnWork | TrainWork | BuildWork
#: What is done on a device.
DeviceWork = MeasureWork | CheckWork
Work = CoreWork | DeviceWork
