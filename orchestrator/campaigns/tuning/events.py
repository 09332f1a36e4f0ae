"""What the machine of a campaign is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workers.messages import Candidate, Measurement

__all__ = [
    "Built",
    "Contenders",
    "Decided",
    "Event",
    "Failed",
    "Learned",
    "Measured",
    "NewPlan",
    "Opened",
    "Proposed",
]


@dataclass(frozen=True)
class Opened:
    """A search is open."""

    task: int


@dataclass(frozen=True)
class Proposed:
    """A search proposed; no candidates mean that its space is used up."""

    task: int
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Learned:
    """A search took its results."""

    task: int


@dataclass(frozen=True)
class Built:
    """A build ended. A failure is a trial, and carries how it failed."""

    token: str
    build_s: float
    failure: Measurement | None = None


@dataclass(frozen=True)
class Measured:
    """A measurement ended, well or not."""

    token: str
    measurement: Measurement


@dataclass(frozen=True)
class Failed:
    """Opening, proposing or learning failed, or a worker died over a build or a measurement (`token`).

    Attributes
    ----------
    lost : bool
        The worker was at fault, not the work: it is given out again.
    moved : bool
        Not even while it worked at this: its node is gone, or its actor. It doesn't count as an attempt.
    """

    task: int
    message: str
    lost: bool
    token: str = ""
    moved: bool = False


@dataclass(frozen=True)
class Contenders:
    """Candidates of a task to be measured again, in turns; none where the best is known well enough."""

    task: int
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class NewPlan:
    """What a decision makes of a task that stays.

    Attributes
    ----------
    weight, budget, tried, cap : int
        See :class:`~orchestrator.campaigns.tuning.tasks.Task`.
    """

    weight: int
    budget: int
    tried: int
    cap: int


@dataclass(frozen=True)
class Decided:
    """It is decided which of two layouts a model has.

    Attributes
    ----------
    tryout : int
        Its number.
    plans : mapping of int to NewPlan
        Tasks that stay; all others are of a layout that no model has.
    """

    tryout: int
    plans: Mapping[int, NewPlan]


Event = Opened | Proposed | Learned | Built | Measured | Failed | Contenders | Decided
