"""The time on a simulated fleet."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "ManualClock", "WallClock"]


class Clock(Protocol):
    """Seconds, steady."""

    def now(self) -> float:
        """Return the time."""

    def sleep(self, seconds: float) -> None:
        """Come back when so many seconds have passed on it."""


class ManualClock:
    """Time passes on it only while it is slept by, and that at once."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """Return the time."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Put it forward."""
        self._now += seconds


class WallClock:
    """The time of this machine."""

    def now(self) -> float:
        """Return the time."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
