"""Checks of devices: what a known kernel took on them while something was measured there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from workers.messages import Condition

__all__ = ["CheckState", "DeviceCheckRow", "MeasurementKey", "NewDeviceCheck", "drift_words"]


class CheckState(str, Enum):
    """How a device stood at a check."""

    #: There was no earlier one: what it took is what later ones are held against.
    FIRST = "first"
    #: It takes what it took.
    STEADY = "steady"
    #: It takes more than 3% longer or shorter; what is measured meanwhile is marked.
    DRIFTED = "drifted"
    #: It has drifted for good: what it takes now is what later checks are held against.
    LEVEL = "level"
    #: It could not be timed.
    FAILED = "failed"


class MeasurementKey(NamedTuple):
    """Names one measurement of a trial: by what was measured, and the token of the attempt."""

    workload_hash: str
    device_class: str
    candidate: str
    token: str


@dataclass(frozen=True)
class NewDeviceCheck:
    """A check of a device, to be stored.

    Attributes
    ----------
    run : str
        Of the campaign: `at_s` of one run compare, and of no two.
    device, host : str
        Its key, and the machine that has it.
    kernel : str
        Names what was timed: times of two kernels don't compare, nor those of two toolchains.
    versions : mapping of str to str
        What it was built with.
    at_s : float
        Seconds since this run began to tune, on a clock that nobody sets.
    times : tuple of float
        Seconds of one call, one value a repeat.
    time_s, reference_s : float or None
        Their median, and what it is held against from now on.
    drift : float or None
        By how much more it took than what it was held against: 0.25 for a quarter more, below 0 for less.
    tries : int
        How often it was timed before this was believed.
    marked : int
        Measurements that were marked since the check before it.
    """

    device_class: str
    device: str
    host: str
    kernel: str
    state: CheckState
    run: str = ""
    at_s: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    times: tuple[float, ...] = ()
    time_s: float | None = None
    reference_s: float | None = None
    drift: float | None = None
    tries: int = 1
    marked: int = 0
    message: str = ""
    condition: Condition = field(default_factory=Condition)


@dataclass(frozen=True)
class DeviceCheckRow:
    """A stored check; the fields are those of :class:`NewDeviceCheck`.

    Attributes
    ----------
    checked_at : datetime
        When it was stored, by the database's clock. Where that is set meanwhile, the order is that of `id`,
        and what lies between two checks is said by their `at_s`.
    """

    id: int
    campaign_id: int | None
    run: str
    device_class: str
    device: str
    host: str
    kernel: str
    state: CheckState
    at_s: float
    times: tuple[float, ...]
    time_s: float | None
    reference_s: float | None
    drift: float | None
    tries: int
    marked: int
    message: str
    condition: Condition
    checked_at: datetime


def drift_words(drift: float) -> str:
    """Write a drift in words: ``34% slower``."""
    return f"{abs(drift):.0%} {'slower' if drift > 0 else 'faster'}"
