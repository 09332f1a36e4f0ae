"""How much of a comparison fits into the time that is left for it. Pure but for the clock it is given."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = [
    "AGAIN",
    "DEAR_SECONDS",
    "LEAST_TURNS",
    "REPEATS",
    "SIDE_SECONDS",
    "THOROUGH_AGAIN",
    "THOROUGH_SECONDS",
    "TURNS",
    "UNTUNED_SECONDS",
    "UNTUNED_TWICE_SECONDS",
    "Pace",
]

#: Turns that a comparison takes where there is time for them; each turn runs all that are compared, so that a
#: slow minute of the machine hits them alike.
TURNS = 5
#: Turns that also a late comparison takes, before its last moment.
LEAST_TURNS = 3
#: Timed runs of the tuned library, and of onnxruntime, in each, at least.
REPEATS = 5
#: Seconds for which each of both is timed in a turn, at least: at a campaign's end, and by ``bench``.
SIDE_SECONDS, THOROUGH_SECONDS = 0.25, 1.0
#: Turns more that are taken for what was timed in slow moments, at most: there, and there.
AGAIN, THOROUGH_AGAIN = 1, 5
#: Warming up may take so many times as long, where nobody waits.
_SETTLING = 2.0
#: A library that takes this long for a run is dear: it is run once or twice in all, not several times a turn.
DEAR_SECONDS = 1.0
#: A run of the untuned library that has not ended by then is ended.
UNTUNED_SECONDS = 60.0
#: One that took longer is not run a second time: both together are to take no more than a minute.
UNTUNED_TWICE_SECONDS = 30.0


@dataclass(frozen=True)
class Pace:
    """When a comparison is to be over.

    Attributes
    ----------
    ends_at : float
        By then, where that can be: infinity where nobody waits.
    limit_at : float
        By then in any case.
    now : callable
        Seconds, steady.
    side_s : float
        Seconds for which a turn times each of what is compared, at least, where there is time for it.
    again : int
        Turns more that may be taken for what was timed in slow moments.
    """

    ends_at: float = math.inf
    limit_at: float = math.inf
    now: Callable[[], float] = time.monotonic
    side_s: float = SIDE_SECONDS
    again: int = AGAIN

    @property
    def left_s(self) -> float:
        """Seconds until it is to be over."""
        return self.ends_at - self.now()

    def turn_fits(self, taken: int, longest_s: float, most: int = TURNS) -> bool:
        """Say whether another turn is begun.

        Parameters
        ----------
        taken : int
            Turns taken so far; the first is always begun.
        longest_s : float
            What the longest of them took.
        """
        if taken == 0:
            return True
        until = self.limit_at if taken < LEAST_TURNS else self.ends_at
        return taken < most and self.now() + longest_s <= until

    def repeats(self, one_s: float, most: int = REPEATS) -> int:
        """Say how often a turn times something that takes `one_s` seconds a run, and runs once before.

        None at all where even that would take more than its part of what is left; the run before may then
        count.
        """
        if math.isinf(self._part_s):
            return most
        return max(0, min(most, int(self._part_s / max(one_s, 1e-9)) - 1))

    def settling(self, one_s: float) -> tuple[float, float]:
        """Say for how long a turn warms up, at most, and times something that takes `one_s` seconds a run.

        Beside the runs that :meth:`repeats` gives it.
        """
        if math.isinf(self._part_s):
            return _SETTLING * self.side_s, self.side_s
        left = max(0.0, self._part_s - (1 + REPEATS) * one_s)
        return min(left / 2, _SETTLING * self.side_s), min(left / 2, self.side_s)

    @property
    def _part_s(self) -> float:
        """Seconds that one of what is compared may take in a turn."""
        # Two of these have each turn, and the last turns may use up what is there until the limit.
        return max(self.left_s, (self.limit_at - self.now()) / 2) / (2 * LEAST_TURNS)
