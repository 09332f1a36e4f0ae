"""How sure medians are, in the JSON documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.builds.intervals import ENOUGH, Interval, interval_of, level

if TYPE_CHECKING:
    from orchestrator.builds.gate import Side
    from orchestrator.storage import TrialRow

__all__ = ["interval_document", "level_with", "sure_document", "times_interval"]


def interval_document(found: Interval | None) -> dict[str, float] | None:
    """Between which two values a median lies."""
    return None if found is None else {"low": found.low, "high": found.high}


def times_interval(times: Sequence[float]) -> Interval | None:
    """How sure the median of a measurement's times is; None of so few that they don't tell."""
    return interval_of(times) if len(times) >= ENOUGH else None


def level_with(best: Sequence[TrialRow]) -> int | None:
    """Return the trial that comes next after the best of a task, where it is level with it.

    Parameters
    ----------
    best : sequence of TrialRow
        The fastest first.
    """
    if len(best) < 2 or best[0].stale != best[1].stale or not best[0].times or not best[1].times:
        return None
    return best[1].id if level(best[0].times, best[1].times) else None


def sure_document(side: Side | None) -> dict[str, Any]:
    """The intervals of a comparison, and what they say about onnxruntime."""
    verdict = None if side is None else side.against_reference
    return {
        "tuned_interval_s": interval_document(None if side is None else side.sure_tuned),
        "reference_interval_s": interval_document(None if side is None else side.sure_reference),
        "reference_ratio_interval": interval_document(None if side is None else side.sure_ratio),
        "against_reference": None if verdict is None else verdict.value,
    }
