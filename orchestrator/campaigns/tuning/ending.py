"""When a campaign's tuning ends before all of its tasks have: its time, or enough of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from orchestrator.campaigns.planning.tryouts import TRIED_PART, Key
from orchestrator.campaigns.tuning.machine import Machine
from orchestrator.campaigns.tuning.progress import MoreTime, Progress

__all__ = ["Ending"]

#: Of a campaign's time, where that is limited, the part that is kept for measuring the best again, and at
#: most so many seconds.
REMEASURED_TIME, REMEASURED_SECONDS = 0.05, 60.0
#: Seconds between two looks at how fast the models are estimated to be.
LOOK_SECONDS = 2.0
#: While nothing is recorded for longer, others have the devices, and the campaign isn't measured.
IDLE_SECONDS = 30.0


class Ending:
    """What a campaign's machine is told for the time's sake.

    Parameters
    ----------
    until : mapping of (int, str) to float
        By model and device class, the seconds of one inference at which it is fast enough.
    say : callable
        Told why it ends before its time.

    Attributes
    ----------
    ends_at : float or None
        When its time is over, on the monotonic clock; None from when nothing more is proposed.
    enough : str
        Why it ended before its time; empty where it didn't.
    more_time : MoreTime or None
        What as much time again would bring, where that can be told.
    """

    def __init__(self, machine: Machine, until: Mapping[Key, float], say: Callable[[str], None]) -> None:
        self._machine, self._say = machine, say
        self._progress = Progress(until)
        self._began = time.monotonic()
        # At once: what is stored may be enough.
        self._looked_at, self._seen = -math.inf, -1
        self._measured_s = 0.0
        self.ends_at: float | None = None
        self.enough = ""
        self.more_time: MoreTime | None = None

    def begin(self) -> None:
        """Count from now."""
        self._began = time.monotonic()

    def tend(self, recorded: int, latencies: Callable[[], Mapping[Key, float]]) -> bool:
        """Tell the machine what it is time for, and say whether what it wants noted is to be looked at.

        Parameters
        ----------
        recorded : int
            Trials that are stored.
        latencies : callable
            Returns what an inference of each model is estimated to take; asked every few seconds.
        """
        return (
            self._end_tryouts_if_due() or self._end_if_enough(recorded, latencies) or self._wind_up_if_due()
        )

    def _end_tryouts_if_due(self) -> bool:
        """Decide by what there is, where layouts were tried out for long enough of a limited time."""
        if self.ends_at is None or not self._machine.trying:
            return False
        due = time.monotonic() >= self._began + (self.ends_at - self._began) / TRIED_PART
        if due:
            self._machine.end_tryouts()
        return due

    def _end_if_enough(self, recorded: int, latencies: Callable[[], Mapping[Key, float]]) -> bool:
        """Follow the curve of what was stored; propose nothing more where that is as far as it is to go."""
        now = time.monotonic()
        idle = recorded == self._seen or now < self._looked_at + LOOK_SECONDS
        if idle or self.enough or self._machine.trying:
            return False
        self._measured_s += min(now - max(self._looked_at, self._began), IDLE_SECONDS)
        self._looked_at, self._seen = now, recorded
        at_s = self._measured_s
        self._progress.note(at_s, latencies())
        self.more_time = self._progress.more_time(at_s)
        left_s = math.inf if self.ends_at is None else self.ends_at - now
        self.enough = self._progress.enough(at_s, at_s + left_s)
        if self.enough:
            self._say(self.enough)
            self.ends_at = None
            self._machine.wind_up()
        return bool(self.enough)

    def _wind_up_if_due(self) -> bool:
        """Keep some of a limited time for measuring the best again."""
        if self.ends_at is None:
            return False
        kept = min(REMEASURED_SECONDS, REMEASURED_TIME * (self.ends_at - self._began))
        due = time.monotonic() >= self.ends_at - kept
        if due:
            self.ends_at = None
            self._machine.wind_up()
        return due
