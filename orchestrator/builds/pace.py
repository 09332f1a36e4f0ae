"""How much of a comparison fits into the time that is left for it. Pure but for the clock it is given."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["DEAR_SECONDS", "REPEATS", "TURNS", "UNTUNED_SECONDS", "UNTUNED_TWICE_SECONDS", "Pace"]

#: Turns that a comparison takes where there is time for them; each turn runs all that are compared, so that a
#: slow minute of the machine hits them alike.
TURNS = 5
#: Turns that also a late comparison takes, before its last moment.
LEAST_TURNS = 3
#: Timed runs of the tuned library, and of onnxruntime, in each.
REPEATS = 5
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
    """

    ends_at: float = math.inf
    limit_at: float = math.inf
    now: Callable[[], float] = time.monotonic

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
        # Two of these have each turn, and the last turns may use up what is there until the limit.
        part = max(self.left_s, (self.limit_at - self.now()) / 2) / (2 * LEAST_TURNS)
        if math.isinf(part):
            return most
        return max(0, min(most, int(part / max(one_s, 1e-9)) - 1))
