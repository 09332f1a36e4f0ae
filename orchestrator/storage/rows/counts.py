"""How much there is, and how much was pruned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["ClassStatistics", "Copied", "PruneCounts", "StoreStatistics"]


@dataclass(frozen=True)
class ClassStatistics:
    """How much is stored for a device class.

    Attributes
    ----------
    device : str
        Its model, for people.
    trials, failures, stale : int
        Trials, how many of them failed, and how many were not measured with the current toolchain.
    toolchain : str
        Key of the current one; empty where nothing was measured.
    first_at, last_at : datetime
        When the first and the last of those still stored were recorded.
    """

    device_class: str
    engine: str
    device: str
    workloads: int
    trials: int
    failures: int
    first_at: datetime
    last_at: datetime
    stale: int = 0
    toolchain: str = ""


@dataclass(frozen=True)
class StoreStatistics:
    """How much is stored; `size_bytes` is what the whole database takes."""

    classes: tuple[ClassStatistics, ...]
    workloads: int
    models: int
    campaigns: int
    verifications: int
    size_bytes: int


@dataclass(frozen=True)
class Copied:
    """What was new of trials of another store.

    Attributes
    ----------
    trials : int
        Trials of which nothing was stored.
    measurements : int
        Measurements of trials that were stored.
    """

    trials: int = 0
    measurements: int = 0


@dataclass(frozen=True)
class PruneCounts:
    """What a pruning deleted, or would delete.

    Attributes
    ----------
    before : int
        Trials stored before.
    trials, failures : int
        Trials deleted, and how many of them were failures.
    workloads : int
        Workloads deleted, because nothing referred to them any more; not counted beforehand.
    """

    before: int
    trials: int
    failures: int
    workloads: int
