"""Comparisons of built libraries with the reference."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["NewVerification", "VerificationRow", "records_key"]


@dataclass(frozen=True)
class NewVerification:
    """A built model's latencies (seconds of one inference) and its distance from the reference outputs.

    Attributes
    ----------
    records_key : str
        :func:`records_key` of the trials the build applied.
    untuned_s, tuned_s, reference_s : float or None
        None where it was not measured.
    max_abs, max_rel : float or None
        Largest absolute and relative difference of any output element.
    details : mapping
        Anything else, JSON.
    """

    model_id: int
    device_class: str
    records_key: str
    untuned_s: float | None = None
    tuned_s: float | None = None
    reference_s: float | None = None
    max_abs: float | None = None
    max_rel: float | None = None
    tasks_total: int = 0
    tasks_tuned: int = 0
    campaign_id: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class VerificationRow:
    """A stored verification; the fields are those of :class:`NewVerification`."""

    id: int
    campaign_id: int | None
    model_id: int
    device_class: str
    records_key: str
    untuned_s: float | None
    tuned_s: float | None
    reference_s: float | None
    max_abs: float | None
    max_rel: float | None
    tasks_total: int
    tasks_tuned: int
    details: dict[str, Any]
    created_at: datetime


def records_key(trial_ids: Iterable[int]) -> str:
    """Name a set of trials, in whatever order: a build from the same trials has the same key.

    Trial ids are never reused, so the key stays good when trials are deleted.
    """
    text = ",".join(str(i) for i in sorted(set(trial_ids)))
    return hashlib.sha256(text.encode()).hexdigest()
