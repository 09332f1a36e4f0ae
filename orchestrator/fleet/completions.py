"""What comes of a piece of work: one type for each kind of it, and one for what went wrong."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.errors import TunefleetError
from orchestrator.fleet.work import (
    ArtifactHandle,
    BuildWork,
    CheckWork,
    LearnWork,
    MeasureWork,
    OpenWork,
    ProposeWork,
    TrainWork,
    Work,
)
from workers.messages import BuildResult, Candidate, CheckedDevice, Measurement

__all__ = [
    "CandidateBuilt",
    "CandidateMeasured",
    "CandidatesProposed",
    "Completion",
    "DeviceChecked",
    "ModelTrained",
    "ResultsLearned",
    "SearchOpened",
    "WorkFailed",
]


@dataclass(frozen=True)
class SearchOpened:
    """A search is open; `samples` are what the cost model learns from its history.

    Of searches and of training, `host` is where.
    """

    work: OpenWork
    samples: bytes
    host: str = ""


@dataclass(frozen=True)
class CandidatesProposed:
    """A search proposed; no candidates mean that its space is used up."""

    work: ProposeWork
    candidates: tuple[Candidate, ...]
    host: str = ""


@dataclass(frozen=True)
class ResultsLearned:
    """A search took its results; `samples` are what the cost model learns from them."""

    work: LearnWork
    samples: bytes
    host: str = ""


@dataclass(frozen=True)
class ModelTrained:
    """The cost model was trained."""

    work: TrainWork
    model: bytes
    host: str = ""


@dataclass(frozen=True)
class CandidateBuilt:
    """A build ended, well or not; where not, the artifact must not be measured."""

    work: BuildWork
    result: BuildResult
    artifact: ArtifactHandle


@dataclass(frozen=True)
class CandidateMeasured:
    """A measurement ended, well or not."""

    work: MeasureWork
    measurement: Measurement


@dataclass(frozen=True)
class DeviceChecked:
    """A known kernel was timed, or that failed."""

    work: CheckWork
    checked: CheckedDevice

    @property
    def measurement(self) -> Measurement:
        """What came of timing it."""
        return self.checked.measurement


@dataclass(frozen=True)
class WorkFailed:
    """A piece of work came to nothing.

    Attributes
    ----------
    lost : bool
        The worker was at fault, not the work.
    moved : bool
        Its node is gone, or its actor: whatever it did, it was not for this work's sake.
    """

    work: Work
    error: TunefleetError
    lost: bool = False
    moved: bool = False


Completion = (
    SearchOpened
    | CandidatesProposed
    | ResultsLearned
    | ModelTrained
    | CandidateBuilt
    | CandidateMeasured
    | DeviceChecked
    | WorkFailed
)
