"""A device that a campaign measures on: what was measured there between two checks, and its worth."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from orchestrator.devices.drift import Level, Verdict
from orchestrator.storage.rows import CheckState, MeasurementKey
from workers.messages import Condition

__all__ = ["Watch"]


@dataclass(eq=False)
class Watch:
    """One device.

    Attributes
    ----------
    name : str
        As the fleet has it.
    level : Level or None
        None until it is to be checked for the first time.
    busy : bool
        It is being checked.
    dirty : bool
        Something was measured since it was checked, or that was tried.
    measured_at : float
        When something was measured last.
    begun : bool
        It has been checked in this run.
    failing : bool
        Its last check failed.
    marked : int
        Measurements that were marked since its last check.
    condition : Condition or None
        Of its machine when it was as fast as before, the last time.
    tried : list of tuple
        What the known kernel took in the check that is under way, and the times that this is the median of.
    """

    name: str
    device_class: str
    level: Level | None = None
    busy: bool = False
    dirty: bool = False
    measured_at: float = -math.inf
    begun: bool = False
    failing: bool = False
    marked: int = 0
    condition: Condition | None = None
    tried: list[tuple[float | None, tuple[float, ...]]] = field(default_factory=list)
    _interval: int = 0
    _since: list[MeasurementKey] = field(default_factory=list)
    _steady: list[MeasurementKey] = field(default_factory=list)
    _off: dict[int, float] = field(default_factory=dict)

    @property
    def drift(self) -> float | None:
        """By how much it has drifted, as far as that is known."""
        return None if self.level is None else self.level.drift

    def due(self, now: float) -> bool:
        """Say whether it is time for a check."""
        return self.level is None or now >= self.level.due_at

    def measured(self, now: float) -> int:
        """Take that something was measured; return the number of the interval in which it was."""
        self.dirty, self.measured_at = True, now
        return self._interval

    def judge(self, interval: int, key: MeasurementKey) -> float | None:
        """Say by how much the device had drifted when a measurement that is about to be stored was made.

        Where that isn't known yet, the next check says it; see :meth:`checked`.
        """
        off = self._off.get(interval) if interval != self._interval else self.drift
        if off is None:
            (self._since if interval == self._interval else self._steady).append(key)
        self.marked += off is not None
        return off

    def checked(self, verdict: Verdict) -> list[tuple[float, list[MeasurementKey]]]:
        """Take what a check says; return what is to be marked, and with which drift, of what is stored."""
        self.dirty = False
        if verdict.drift is None or verdict.time_s is None or verdict.reference_s is None:
            return []  # it could not be timed: the next check says more
        since, self._since = self._since, []
        marks = []
        if verdict.off is not None:
            self._off[self._interval] = verdict.off
            marks.append((verdict.off, since))
        else:
            self._steady += since
        self._interval += 1
        if verdict.state is CheckState.LEVEL:
            before, self._steady = self._steady, []
            slower = verdict.time_s / (1 + verdict.drift) / verdict.reference_s - 1
            if slower > 0:
                # It was held against a slow time, and what seemed as usual was slow as well.
                marks.append((slower, before))
        return marks
