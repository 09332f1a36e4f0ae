"""A task of a campaign, as its machine sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from workers.messages import Candidate, Record

__all__ = ["Attempt", "State", "Task"]


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


# -- the machine
@dataclass
class Attempt:
    task: int
    candidate: Candidate
    tries: int = 1
    moves: int = 0
    at: str = "waiting"  # then building, built, measuring
    build_s: float = 0.0
    again: bool = False


@dataclass
class State:
    task: Task
    stored: int
    since_best: int
    best_s: float
    phase: str = "idle"
    open: bool = False
    rounds: int = 0
    waiting: set[str] = field(default_factory=set)  # tokens of this round that have no result yet
    results: list[Record] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)  # candidates this machine gave out
    tries: int = 0
    moves: int = 0
    last_used: int = 0
    passes: int = 0  # of being measured again
