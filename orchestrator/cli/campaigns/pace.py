"""How fast a campaign measures."""

from __future__ import annotations

from collections import deque

__all__ = ["Pace"]


class Pace:
    """Trials per hour, over the last minutes.

    Parameters
    ----------
    window_s : float
        How far it looks back (seconds).
    """

    def __init__(self, window_s: float = 180.0) -> None:
        self._window_s = window_s
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now: float, measured: int) -> None:
        """Take in how many trials had been measured at an instant (seconds of any steady clock)."""
        if len(self._samples) > 1 and self._samples[-1][1] == self._samples[-2][1] == measured:
            # Of a standstill its first and last instant are enough.
            self._samples.pop()
        self._samples.append((now, measured))
        while len(self._samples) > 2 and self._samples[1][0] < now - self._window_s:
            self._samples.popleft()

    @property
    def per_hour(self) -> float | None:
        """The pace; None before there is enough to tell."""
        if len(self._samples) < 2:
            return None
        (start, before), (end, after) = self._samples[0], self._samples[-1]
        if after <= before or end - start < 5.0:
            return None
        return (after - before) / (end - start) * 3600
