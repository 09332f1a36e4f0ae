"""Is a device as fast as it was? Told what a known kernel took there, and when, this says what follows.

No store, no fleet, and no clock: whoever asks says what time it is, on one that nobody sets. What lies
between two checks is judged by both of them; a device that takes longer or shorter for good is held against
its new level in the end, so that a campaign never stops for it.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from orchestrator.storage.rows import CheckState

__all__ = ["DRIFT", "EVERY_SECONDS", "PATIENCE", "SOON_SECONDS", "TRIES", "Level", "Verdict"]

#: A device has drifted where the known kernel takes this part more or less than before.
DRIFT = 0.03
#: Seconds between two checks of a device that is as fast as it was, and of one that isn't.
EVERY_SECONDS, SOON_SECONDS = 120.0, 30.0
#: How often the kernel has to be off in a row, at once, for that to be believed: a check is a fifth of a
#: second, and something may just have been in its way.
TRIES = 3
#: Checks of a drifted device after which it is held against what it takes by then.
PATIENCE = 5


@dataclass(frozen=True)
class Verdict:
    """What a check says of a device.

    Attributes
    ----------
    time_s, reference_s : float or None
        What the kernel took, and what the next check is held against.
    drift : float or None
        By which part of its time it took more than before; None where it could not be timed.
    off : float or None
        The same, where what was measured between the check before and this one is marked with it; else None.
    tries : int
        How often the kernel was timed for it.
    began, ended : bool
        With this check a time in which the device had drifted began, or ended.
    """

    state: CheckState
    time_s: float | None
    reference_s: float | None
    drift: float | None
    off: float | None
    tries: int
    began: bool = False
    ended: bool = False


class Level:
    """How fast one device is.

    Parameters
    ----------
    reference_s : float or None
        What the known kernel took when it was checked last, whoever did; None where nobody did.

    Attributes
    ----------
    drift : float or None
        By how much it has drifted, as of the last check; None where it hasn't.
    due_at : float
        When the next check is due.
    """

    def __init__(self, reference_s: float | None = None) -> None:
        self.reference_s = reference_s
        self.drift: float | None = None
        self.due_at = -math.inf
        self._tries: list[float] = []
        self._off: list[float] = []

    @property
    def unsure(self) -> bool:
        """The kernel has to be timed again at once: it was off, or what it takes isn't known well enough."""
        return bool(self._tries)

    def checked(self, seconds: float | None, now: float) -> Verdict | None:
        """Take what the kernel took; None where it has to be timed again before that says anything.

        Parameters
        ----------
        seconds : float or None
            None where it could not be timed.
        now : float
            The time, in seconds.
        """
        self.due_at = now + SOON_SECONDS
        if seconds is None or seconds <= 0:
            tries, self._tries = len(self._tries) + 1, []
            return Verdict(CheckState.FAILED, None, self.reference_s, None, None, tries)
        self._tries.append(seconds)
        if self.reference_s is None:
            if len(self._tries) < TRIES:
                self.due_at = now
                return None
            # Of several: all later ones are held against it.
            self.reference_s = first = statistics.median(self._tries)
            self._tries, self.due_at = [], now + EVERY_SECONDS
            return Verdict(CheckState.FIRST, first, first, 0.0, None, TRIES)
        nearest = min(self._tries, key=lambda one: abs(one / self._held - 1))
        drift, tries, before = nearest / self._held - 1, len(self._tries), self.drift
        if abs(drift) > DRIFT and before is None and tries < TRIES:
            self.due_at = now
            return None
        self._tries = []
        if abs(drift) <= DRIFT:
            self.drift, self._off, self.due_at = None, [], now + EVERY_SECONDS
            ended = before is not None
            return Verdict(CheckState.STEADY, nearest, self._held, drift, before, tries, ended=ended)
        self._off.append(nearest)
        off = drift if before is None else max(drift, before, key=abs)
        if len(self._off) > PATIENCE:
            # The latest: it may have got there step by step.
            self.reference_s = statistics.median(self._off[-3:])
            self.drift, self._off, self.due_at = None, [], now + EVERY_SECONDS
            return Verdict(CheckState.LEVEL, nearest, self._held, drift, off, tries, ended=True)
        self.drift = drift
        return Verdict(CheckState.DRIFTED, nearest, self._held, drift, off, tries, began=before is None)

    @property
    def _held(self) -> float:
        assert self.reference_s is not None
        return self.reference_s
