"""Comparisons of built libraries with the reference."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["NewVerification", "VerificationRow", "records_key"]

# What releases took that stored no number of turns.
_TURNS_ONCE = 5


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

    @property
    def runs(self) -> dict[str, int]:
        """Count the runs that each figure is of, by its name; 0 where that isn't known."""
        # Of many runs some times are stored, and how many there were.
        counted, times = self.details.get("runs", {}), self.details.get("times_s", {})
        return {
            name: int(counted.get(name, len(times.get(name, ()))))
            for name in ("untuned", "tuned", "reference")
        }

    @property
    def turns(self) -> int:
        """Say in how many turns they were taken; 0 where that isn't known."""
        return int(self.details.get("turns", _TURNS_ONCE if any(self.runs.values()) else 0))

    @property
    def untuned_note(self) -> str:
        """Say how the untuned library was timed, where that was not in turns with the others."""
        return str(self.details.get("untuned_note", ""))


def records_key(trial_ids: Iterable[int], toolchain: str = "") -> str:
    """Name a set of trials, in whatever order: a build from the same trials has the same key.

    Trial ids are never reused, so the key stays good when trials are deleted.

    Parameters
    ----------
    toolchain : str, optional
        Key of what is built with: from the same trials another makes another library.
    """
    text = ",".join(str(i) for i in sorted(set(trial_ids)))
    text = f"{text} with {toolchain}" if toolchain else text
    return hashlib.sha256(text.encode()).hexdigest()
