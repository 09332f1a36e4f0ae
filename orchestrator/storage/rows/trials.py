"""Trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.storage.rows.measurements import MeasurementKind, MeasurementRow
from workers.messages import Candidate, Measurement, TrialState

__all__ = ["NewTrial", "TrialRow"]


@dataclass(frozen=True)
class NewTrial:
    """One measured candidate, to be recorded.

    Attributes
    ----------
    build_s : float
        Wall-clock seconds the build took.
    token : str
        Of the attempt that measured it.
    versions : mapping of str to str
        What it was measured with (engine, compiler, driver).
    kind : MeasurementKind or None
        How it was timed; None for in full, or by a short look where the measurement's message says so.
    drift : float or None
        See :class:`.MeasurementRow`.
    """

    workload_hash: str
    device_class: str
    candidate: Candidate
    measurement: Measurement
    campaign_id: int | None = None
    build_s: float = 0.0
    token: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    kind: MeasurementKind | None = None
    drift: float | None = None


@dataclass(frozen=True)
class TrialRow:
    """A stored trial, with the measurement that it is judged by.

    That is the latest good one under the toolchain that its device class is measured with now, one whose
    device had drifted only where there is no other; where there is none, how it failed under that; and where
    it was not measured under that at all, the latest good one.

    Attributes
    ----------
    candidate : str
        Hash of the candidate.
    cost_s : float or None
        Median of ``times``, in seconds of one call; None where the trial failed.
    kind : MeasurementKind
        How these times were taken.
    measured_at : datetime
        When.
    toolchain : str
        Key of what they were taken with.
    stale : bool
        That is another than the device class is measured with now.
    drift : float or None
        By how much its device had drifted; see :class:`.MeasurementRow`.
    versions : dict of str to str
        What the toolchain consists of.
    created_at : datetime
        When the trial was recorded.
    trace : str or None
        The schedule. Only the lookups of the best load it; a listing leaves it out.
    measurements : tuple of MeasurementRow
        All of them, the first one first; empty where they weren't asked for.
    """

    id: int
    workload_hash: str
    workload_name: str
    device_class: str
    candidate: str
    state: TrialState
    cost_s: float | None
    times: tuple[float, ...]
    message: str
    campaign_id: int | None
    device: str
    host: str
    versions: dict[str, str]
    build_s: float
    run_s: float
    token: str
    created_at: datetime
    trace: str | None = None
    kind: MeasurementKind = MeasurementKind.FULL
    measured_at: datetime | None = None
    toolchain: str = ""
    stale: bool = False
    drift: float | None = None
    measurements: tuple[MeasurementRow, ...] = ()
