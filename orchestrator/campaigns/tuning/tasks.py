"""A task of a campaign, as its machine sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

from workers.messages import Candidate, Record

__all__ = ["Attempt", "Phase", "Place", "Task", "TaskProgress"]


@dataclass(frozen=True)
class Task:
    """A task as it enters the machine.

    Attributes
    ----------
    id : int
    flops : float
    budget : int
        Trials in all, `stored` included.
    stored : int
    since_best : int
    best_s : float
        Seconds of the best stored trial; infinite where there is none.
    kind : str
        What tasks that do the same on other sizes have in common; empty for a task like no other.
    tried : int
        Trials, stored ones included, that a decision between two layouts waits for; 0 where none does.
    cap : int
        Trials that it gets, stored ones included, until that is decided; 0 where it needs no limit.
    stale : tuple of Candidate
        The best that were measured with another toolchain: these are measured before all else.
    inside_s : float or None
        Seconds of a call inside the model's first library; None where nobody looked.
    """

    id: int
    workload_hash: str
    device_class: str
    name: str
    weight: int
    flops: float
    budget: int
    stored: int = 0
    since_best: int = 0
    best_s: float = math.inf
    kind: str = ""
    tried: int = 0
    cap: int = 0
    stale: tuple[Candidate, ...] = ()
    inside_s: float | None = None


class Phase(Enum):
    """Where a task is on its way."""

    IDLE = "idle"
    #: What was the best with another toolchain is measured with this one.
    REVALIDATING = "revalidating"
    OPENING = "opening"
    PROPOSING = "proposing"
    #: Candidates of its round are built and measured.
    RUNNING = "running"
    TO_LEARN = "to learn"
    LEARNING = "learning"
    #: It has had its first few trials, and more of them depend on a decision.
    HELD = "held"
    #: It has had its trials, and the best of them are measured again.
    REMEASURING = "remeasuring"
    OVER = "over"


class Place(Enum):
    """Where a candidate is on its way."""

    WAITING = "waiting"
    BUILDING = "building"
    BUILT = "built"
    MEASURING = "measuring"


@dataclass
class Attempt:
    """A candidate under way.

    Attributes
    ----------
    tries : int
        How often it was given out, this time included.
    moves : int
        How often its worker was gone without its doing.
    remeasured : bool
        It was measured before, and is one of the best.
    revalidated : bool
        It was measured before, with another toolchain.
    rechecked : bool
        It was measured before, while its device had drifted: its task waits for nothing of it.
    """

    task: int
    candidate: Candidate
    tries: int = 1
    moves: int = 0
    at: Place = Place.WAITING
    build_s: float = 0.0
    remeasured: bool = False
    revalidated: bool = False
    rechecked: bool = False

    @property
    def again(self) -> bool:
        """It was measured before, and is timed in full."""
        return self.remeasured or self.revalidated or self.rechecked


@dataclass
class TaskProgress:
    """How far a task is.

    Attributes
    ----------
    open : bool
        It has a search.
    rounds : int
        Rounds that it has learned from.
    waiting : set of str
        Tokens of this round that have no result yet.
    results : list of Record
        Those of this round.
    seen : set of str
        Candidates that were given out, by their hashes.
    tries, moves : int
        How often in a row its search failed, and how often that was not its search's doing.
    last_used : int
        When its search was used last, in ticks of the machine.
    passes : int
        How often contenders for its best were asked for.
    dropped : bool
        It is of a layout that its model doesn't have: it ends as soon as its search is at rest.
    """

    task: Task
    stored: int
    since_best: int
    best_s: float
    phase: Phase = Phase.IDLE
    open: bool = False
    rounds: int = 0
    waiting: set[str] = field(default_factory=set)
    results: list[Record] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    tries: int = 0
    moves: int = 0
    last_used: int = 0
    passes: int = 0
    dropped: bool = False

    @property
    def limit(self) -> int:
        """Trials that it gets for now."""
        return self.task.cap or self.task.budget

    @property
    def urgent(self) -> bool:
        """A decision between two layouts waits for trials of it."""
        return self.stored < self.task.tried
