"""What a model takes without any record: run once or twice, and within a minute, where a run is dear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.models.extraction import ExtractedModel
from orchestrator.storage import VerificationRow

__all__ = ["UntunedTimes", "earlier_untuned", "untuned_of"]


@dataclass(frozen=True)
class UntunedTimes:
    """Seconds of single runs of an untuned library.

    Attributes
    ----------
    times_s : tuple of float
        Empty where no run ended in time.
    note : str
        How they were taken, where that was not in turns with the others.
    """

    times_s: tuple[float, ...]
    note: str = ""


def untuned_of(model: ExtractedModel, versions: Mapping[str, str]) -> dict[str, Any]:
    """Say what a model's untuned library is made by: where that is another, its times are others."""
    return {"engine": model.engine_version, "versions": dict(versions)}


def earlier_untuned(row: VerificationRow | None, of: Mapping[str, Any]) -> UntunedTimes | None:
    """Return the dear figure of an earlier comparison of the same untuned library; None where there is none.

    Parameters
    ----------
    of : mapping
        See :func:`untuned_of`.
    """
    if row is None or not row.details.get("untuned_note") or row.details.get("untuned_of") != dict(of):
        return None
    times = tuple(float(one) for one in row.details.get("times_s", {}).get("untuned", ()))
    return UntunedTimes(times, str(row.details["untuned_note"])) if times else None
