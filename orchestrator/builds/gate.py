"""Whether a library became slower than an earlier one, by more than is allowed and more than chance. Pure.

Two libraries are compared by the medians of their turns. A turn is a process of its own, and what the machine
is like in it hits all that it times: so where onnxruntime was timed in the same turns, and is of one version,
its time is the unit of each turn's (as in L. Bulej et al., Duet Benchmarking, ICPE 2020). Two are level where
the intervals of their medians leave that open.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from orchestrator.builds.intervals import Interval, interval_of
from orchestrator.storage import VerificationRow

__all__ = ["LEAST_TURNS", "Change", "Gate", "Held", "Side", "Verdict", "baseline_of", "change_of", "hold"]

#: Fewer turns say nothing. With three on either side, all of one lie above all of the other by chance in one
#: case of twenty; with five, in one of 252.
LEAST_TURNS = 3
# What releases took that stored no number of turns.
_TURNS_ONCE = 5
_REFERENCE = ("onnx", "onnxruntime")


class Verdict(str, Enum):
    """What became of a latency."""

    SLOWER = "slower"
    LEVEL = "level"
    FASTER = "faster"


@dataclass(frozen=True)
class Change:
    """By which part of the earlier time one takes longer, and between which two values the true one lies."""

    least: float
    middle: float
    most: float

    @classmethod
    def of_ratio(cls, found: Interval) -> Change:
        """Read a ratio of the later time to the earlier one."""
        return cls(found.low - 1, found.middle - 1, found.high - 1)

    def verdict(self, allowed: float = 0.0) -> Verdict:
        """Say what that is, where a part `allowed` of the earlier time doesn't count as slower."""
        if self.least > allowed:
            return Verdict.SLOWER
        return Verdict.FASTER if self.most < 0 else Verdict.LEVEL


def change_of(before: Interval, now: Interval) -> Change:
    """Return how one median differs from another: between the farthest and the nearest of their ends."""
    return Change(now.low / before.high - 1, now.middle / before.middle - 1, now.high / before.low - 1)


@dataclass(frozen=True)
class Side:
    """A comparison of a built model, as one of the two that are held against each other.

    Attributes
    ----------
    tuned_s, reference_s : tuple of float
        Median seconds of each turn; the second is empty where onnxruntime was not timed beside it.
    paired : tuple of float
        The first as a part of the second, moment by moment, of each turn; empty where that wasn't stored.
    reference : str
        Version of onnxruntime; empty where it isn't known.
    model_id : int or None
        The stored model that it is of: a file of other content is another.
    campaign_id, taken_at : int, datetime or None
        Whose comparison it is, and when it was taken.
    """

    tuned_s: tuple[float, ...]
    reference_s: tuple[float, ...]
    reference: str
    model_id: int | None = None
    campaign_id: int | None = None
    taken_at: datetime | None = None
    paired: tuple[float, ...] = ()

    @classmethod
    def of(cls, details: Mapping[str, Any], model_id: int | None = None) -> Side:
        """Read what a comparison stores."""
        return cls(
            _medians(details, "tuned"),
            _medians(details, "reference"),
            str(details.get("versions", {}).get("onnxruntime", "")),
            model_id,
            paired=tuple(float(one) for one in details.get("ratios", ())),
        )

    @classmethod
    def of_row(cls, row: VerificationRow) -> Side:
        """Read a stored comparison."""
        side = cls.of(row.details, row.model_id)
        return replace(side, campaign_id=row.campaign_id, taken_at=row.created_at)

    @property
    def ratios(self) -> tuple[float, ...]:
        """What each turn took as a part of onnxruntime's time in the same turn."""
        if self.paired:
            return self.paired
        if len(self.tuned_s) != len(self.reference_s):
            return ()
        return tuple(ours / theirs for ours, theirs in zip(self.tuned_s, self.reference_s, strict=True))

    @property
    def sure_tuned(self) -> Interval | None:
        """Median seconds of all turns, and how sure it is; None where the turns aren't known."""
        return interval_of(self.tuned_s) if self.tuned_s else None

    @property
    def sure_reference(self) -> Interval | None:
        """The same of onnxruntime."""
        return interval_of(self.reference_s) if self.reference_s else None

    @property
    def sure_ratio(self) -> Interval | None:
        """The same of the turns' ratios."""
        return interval_of(self.ratios) if self.ratios else None

    @property
    def against_reference(self) -> Verdict | None:
        """Say how the library compares with onnxruntime beside it; None with too few turns to tell."""
        found = self.sure_ratio
        if found is None or len(self.ratios) < LEAST_TURNS:
            return None
        return Change.of_ratio(found).verdict()

    @property
    def tuned_median_s(self) -> float:
        """Median seconds of all turns."""
        return statistics.median(self.tuned_s)

    @property
    def reference_median_s(self) -> float | None:
        """The same of onnxruntime."""
        return statistics.median(self.reference_s) if self.reference_s else None


@dataclass(frozen=True)
class Held:
    """A library held against an earlier one.

    Attributes
    ----------
    change : Change
    allowed : float
        The part of the earlier time that doesn't count as slower.
    by_ratio : bool
        The change is that of the time as a part of onnxruntime's in the same turn, and not of the time
        itself.
    """

    before: Side
    now: Side
    change: Change
    allowed: float
    by_ratio: bool

    @property
    def verdict(self) -> Verdict:
        """What became of its latency."""
        return self.change.verdict(self.allowed)

    @property
    def too_noisy(self) -> bool:
        """Whether it may be slower by more than is allowed all the same, as far as its turns tell."""
        return self.verdict is Verdict.LEVEL and self.change.most > self.allowed


def hold(before: Side, now: Side, allowed: float) -> Held | None:
    """Compare two libraries; None where either was timed in fewer than :data:`LEAST_TURNS` turns.

    Parameters
    ----------
    allowed : float
        See :class:`Held`.
    """
    if min(len(before.tuned_s), len(now.tuned_s)) < LEAST_TURNS:
        return None
    by_ratio = bool(before.ratios and now.ratios and before.reference == now.reference)
    pair = (before.ratios, now.ratios) if by_ratio else (before.tuned_s, now.tuned_s)
    change = change_of(*map(interval_of, pair))
    return Held(before, now, change, allowed, by_ratio)


@dataclass(frozen=True)
class Gate:
    """What a new library is held against.

    Attributes
    ----------
    allowed : float
        See :class:`Held`.
    earlier : sequence of VerificationRow
        Stored comparisons on its device class, of the model and of files of its name, inputs and outputs: its
        earlier versions, as far as one can tell. The latest first.
    pinned : bool
        The first of them is meant, and no other.
    """

    allowed: float
    earlier: Sequence[VerificationRow]
    pinned: bool = False

    def held(self, model_id: int, records_key: str, details: Mapping[str, Any]) -> Held | None:
        """Hold a comparison that is about to be stored against the one that counts; None without any."""
        if self.pinned:
            found = next((row for row in self.earlier[:1] if row.details.get("agree") is not False), None)
        else:
            found = baseline_of(self.earlier, _library(model_id, records_key, details))
        return None if found is None else hold(Side.of_row(found), Side.of(details, model_id), self.allowed)


def baseline_of(earlier: Iterable[VerificationRow], this: str) -> VerificationRow | None:
    """Choose the comparison that a new one is held against: the latest of another library of the model.

    Another library is one of other records, of a file of other content, or made by other versions. Where none
    is there, it is the latest of this very one, which says what became of the machine. One that a gate found
    slower is left out, or the next release would be held against what was refused; unless it was compared
    once more without a gate, which is how a slower one is accepted.

    Parameters
    ----------
    earlier : iterable of VerificationRow
        The latest first.
    this : str
        The new library, as :func:`_library` names it.
    """
    usable: dict[str, VerificationRow | None] = {}
    for row in earlier:
        if row.details.get("agree") is False or len(Side.of_row(row).tuned_s) < LEAST_TURNS:
            continue
        found = None if row.details.get("slower") else row
        usable.setdefault(_library(row.model_id, row.records_key, row.details), found)
    others = [row for library, row in usable.items() if row is not None and library != this]
    return others[0] if others else usable.get(this)


def _library(model_id: int, records_key: str, details: Mapping[str, Any]) -> str:
    """Tell libraries apart."""
    versions = {name: one for name, one in details.get("versions", {}).items() if name not in _REFERENCE}
    return repr((model_id, records_key, details.get("plan", ""), sorted(versions.items())))


def _medians(details: Mapping[str, Any], name: str) -> tuple[float, ...]:
    """Return the median of each turn."""
    known = details.get("turns_s", {}).get(name)
    if known is not None:
        return tuple(float(one) for one in known)
    # Earlier comparisons have the runs of all turns in one list; where none ended early, all had as many.
    times = [float(one) for one in details.get("times_s", {}).get(name, ())]
    turns = int(details.get("turns", _TURNS_ONCE))
    if not times or not turns or len(times) % turns:
        return ()
    each = len(times) // turns
    return tuple(statistics.median(times[at : at + each]) for at in range(0, len(times), each))
