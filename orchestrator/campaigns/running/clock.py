"""The time of a campaign: what was asked for, where it went, and when tuning has to end."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator

from orchestrator.builds.pace import UNTUNED_SECONDS, Pace

__all__ = ["SLACK_SECONDS", "CampaignClock"]

#: Seconds past its time by which a campaign is over, whatever it is of; what a build alone takes excepted.
SLACK_SECONDS = 90.0
#: Of these, what is left alone: to end the workers, to store, to report.
_LAST_SECONDS = 20.0
#: Part of its time that a campaign tunes at least, where its end leaves room for that; seconds at most.
LEAST_TUNED, LEAST_TUNED_SECONDS = 0.25, 60.0


class CampaignClock:
    """One for all that a run of a campaign does.

    Parameters
    ----------
    time_s : float or None
        What was asked for, over all runs of it; None where nothing was.
    had_s : float
        What earlier runs of it took.
    began : float
        When this run began, on the clock `now`.
    now : callable, optional
        Seconds, steady.

    Attributes
    ----------
    ends_at : float
        When its time is over; infinity where it has no end.
    limit_at : float
        When nothing more may be under way.
    parts_s : dict of str to float
        Seconds that went into each part of it so far, in order.
    """

    def __init__(
        self, time_s: float | None, had_s: float, began: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._time_s, self._had_s, self.began, self.now = time_s, had_s, began, now
        self.ends_at = math.inf if time_s is None else began + time_s - had_s
        # One that is resumed when its time is over is compared all the same.
        self.limit_at = max(began, self.ends_at) + SLACK_SECONDS - _LAST_SECONDS
        self.parts_s: dict[str, float] = {}

    @property
    def limited(self) -> bool:
        """There is a time to keep."""
        return self._time_s is not None

    @property
    def taken_s(self) -> float:
        """Seconds since this run began."""
        return self.now() - self.began

    @property
    def untuned_limit_s(self) -> float:
        """Seconds that a run of an untuned library may take: a minute, or half of a time that is short."""
        return min(UNTUNED_SECONDS, math.inf if self._time_s is None else self._time_s / 2)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens within as a part of this name."""
        began = self.now()
        try:
            yield
        finally:
            self.add(name, self.now() - began)

    def add(self, name: str, seconds: float) -> None:
        """Count seconds that are over."""
        self.parts_s[name] = self.parts_s.get(name, 0.0) + seconds

    def tuned_until(self, begins: float, closing_s: float, least_closing_s: float) -> float:
        """Say when tuning that begins at a time has to end.

        So that building and comparing still fit into the time asked for. A short time would leave nothing
        then: it gets :data:`LEAST_TUNED` of the time all the same, as long as what has to be done after it
        ends before the limit.

        Parameters
        ----------
        closing_s : float
            Seconds that building and comparing are expected to take.
        least_closing_s : float
            The same, where no more is compared than has to be.
        """
        if self._time_s is None:
            return math.inf
        comfortable = self.ends_at - closing_s
        if self._had_s:
            return comfortable  # it had its least share in its first run
        least = begins + min(LEAST_TUNED_SECONDS, LEAST_TUNED * self._time_s)
        return max(comfortable, min(least, self.limit_at - least_closing_s))

    def pace(self, still: int) -> Pace:
        """Return the pace of a comparison where so many are still to be made, this one included."""
        if not self.limited:
            return Pace(now=self.now)
        now = self.now()
        # What is late already has the time until the limit, and as much for each.
        ends_at = now + (self.ends_at - now) / still
        limit_at = now + (self.limit_at - now) / still
        return Pace(ends_at, limit_at, self.now)
