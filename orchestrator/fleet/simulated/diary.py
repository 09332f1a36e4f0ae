"""What was asked of a simulated fleet, in order, for tests to read."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from orchestrator.fleet.work import Work

__all__ = ["Diary", "Happening"]


class Happening(str, Enum):
    """What can be asked of a fleet while it runs."""

    OPEN = "open"
    PROPOSE = "propose"
    LEARN = "learn"
    TRAIN = "train"
    BUILD = "build"
    MEASURE = "measure"
    #: A measurement of a candidate that was measured before.
    REMEASURE = "remeasure"
    #: A known kernel, timed to see whether its device is as fast as it was.
    CHECK = "check"
    CLOSE = "close"
    PAUSE = "pause"
    RESUME = "resume"


@dataclass
class Diary:
    """All that happened, and all work that was given out."""

    happenings: list[Happening] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)

    def note(self, happening: Happening, work: Work | None = None) -> None:
        """Write down what happened, and the work where it was some."""
        self.happenings.append(happening)
        if work is not None:
            self.works.append(work)
