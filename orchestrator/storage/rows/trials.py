"""Trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

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
    again : tuple of float
        See :class:`TrialRow`.
    """

    workload_hash: str
    device_class: str
    candidate: Candidate
    measurement: Measurement
    campaign_id: int | None = None
    build_s: float = 0.0
    token: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    again: tuple[float, ...] = ()


@dataclass(frozen=True)
class TrialRow:
    """A stored trial.

    Attributes
    ----------
    candidate : str
        Hash of the candidate.
    cost_s : float or None
        Median of ``again`` where that has any, or else of ``times``, in seconds of one call; None where the
        trial failed.
    again : tuple of float
        Times taken when it was measured once more, in turns with others about as fast.
    trace : str or None
        The schedule. Only the lookups of the best load it; a listing leaves it out.
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
    again: tuple[float, ...] = ()
