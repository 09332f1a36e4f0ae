"""What the machine of a campaign wants done."""

from __future__ import annotations

import math
from dataclasses import dataclass

from orchestrator.storage.rows import TaskState
from workers.messages import Candidate, Measurement, Record

__all__ = [
    "Action",
    "Build",
    "CloseSearch",
    "Decide",
    "EndTask",
    "FindContenders",
    "Learn",
    "Measure",
    "Note",
    "OpenSearch",
    "Propose",
    "RecordRecheck",
    "RecordRemeasurement",
    "RecordRevalidation",
    "RecordTrial",
]


@dataclass(frozen=True)
class OpenSearch:
    """Open the search of a task, seeded with its stored records."""

    task: int


@dataclass(frozen=True)
class Propose:
    """Ask a search for so many candidates."""

    task: int
    count: int


@dataclass(frozen=True)
class Build:
    """Build a candidate. `token` names this attempt."""

    task: int
    candidate: Candidate
    token: str


@dataclass(frozen=True)
class Measure:
    """Measure what the build of `token` made.

    Attributes
    ----------
    best_known_s : float
        Seconds of the task's best trial so far; infinite where there is none, or where it is to be timed in
        full for another reason.
    remeasured : bool
        It has been measured before.
    """

    task: int
    candidate: Candidate
    token: str
    best_known_s: float = math.inf
    remeasured: bool = False


@dataclass(frozen=True)
class Learn:
    """Tell a search what came of its candidates."""

    task: int
    records: tuple[Record, ...]


@dataclass(frozen=True)
class RecordTrial:
    """Store a trial."""

    task: int
    candidate: Candidate
    measurement: Measurement
    build_s: float
    token: str


@dataclass(frozen=True)
class FindContenders:
    """Find the candidates of a task that are about as fast as its best; :class:`Contenders` answers.

    All of the last ones have been measured again: what came of it is to be judged first.
    """

    task: int


@dataclass(frozen=True)
class RecordRemeasurement:
    """Keep what a stored trial took this time, until all its rivals have been measured again as well."""

    task: int
    candidate: Candidate
    measurement: Measurement
    token: str


@dataclass(frozen=True)
class RecordRecheck:
    """Store what came of measuring a stored trial once more: its device had drifted, or it computes wrong."""

    task: int
    candidate: Candidate
    measurement: Measurement
    build_s: float
    token: str


@dataclass(frozen=True)
class RecordRevalidation:
    """Store what came of measuring a stored trial with this toolchain."""

    task: int
    candidate: Candidate
    measurement: Measurement
    build_s: float
    token: str


@dataclass(frozen=True)
class CloseSearch:
    """End a search; it can be opened again."""

    task: int


@dataclass(frozen=True)
class EndTask:
    """The task is over, and why."""

    task: int
    state: TaskState
    note: str


@dataclass(frozen=True)
class Decide:
    """Decide which of two layouts a model has; :class:`Decided` answers.

    Attributes
    ----------
    tryout : int
        Its number.
    in_time : bool
        All tasks have had their trials; else the time for it is over.
    """

    tryout: int
    in_time: bool


Action = (
    OpenSearch
    | Propose
    | Build
    | Measure
    | Learn
    | RecordTrial
    | FindContenders
    | RecordRecheck
    | RecordRemeasurement
    | RecordRevalidation
    | CloseSearch
    | EndTask
)
#: What needs no capacity and is about a task, or about a whole model.
Note = Action | Decide
