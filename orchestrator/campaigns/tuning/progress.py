"""How fast a campaign's models are estimated to be over the time of its tuning, and when that is enough."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.campaigns.planning.tryouts import Key
from orchestrator.models.extraction import ExtractedModel
from orchestrator.storage.rows import CampaignTaskRow, expected_call_s

__all__ = ["FLAT_SECONDS", "MoreTime", "Progress", "latencies"]

#: Before so much time has been spent on measuring, a campaign is not given up for a curve that is flat.
FLAT_SECONDS = 600.0
#: It is where the time that is left would bring less than this part of the models' latency.
FLAT_GAIN = 0.01


@dataclass(frozen=True)
class MoreTime:
    """What as much time again would bring, by the curve so far.

    Attributes
    ----------
    seconds : float
        The time that was spent on measuring.
    gain : float
        The part of the models' latency by which that shrank in its second half.
    """

    seconds: float
    gain: float


class Progress:
    """The curve of a campaign: what its tasks add up to, from when of all of them that is known.

    It falls about as much from one minute to two as from two to four, and so on, as a search's gains do that
    has had its first candidates. So what is to come is told by the second half of what was.

    Parameters
    ----------
    until : mapping of (int, str) to float
        By model and device class, the seconds of one inference at which it is fast enough.
    """

    def __init__(self, until: Mapping[Key, float]) -> None:
        self._until = dict(until)
        self._at: list[float] = []
        self._sums: list[float] = []
        self._latest: dict[Key, float] = {}

    def note(self, at_s: float, latencies: Mapping[Key, float]) -> None:
        """Take what one inference of each model is estimated to take after some time of measuring.

        Infinite where not all of its tasks have a time.
        """
        self._latest = dict(latencies)
        whole = sum(latencies.values())
        # Best times are measured again, and may come out longer; what was gained is the curve's own fall.
        if math.isfinite(whole) and (not self._sums or whole != self._sums[-1]):
            self._at.append(at_s)
            self._sums.append(whole)

    def enough(self, at_s: float, ends_s: float) -> str:
        """Say why tuning may end before its time; empty where it may not.

        Parameters
        ----------
        ends_s : float
            When its time is over; infinite where it has no end.
        """
        if self.reached:
            sums = ", ".join(f"{1e3 * seconds:.3g} ms" for seconds in self._latest.values())
            return f"--until was reached: the tasks of a run add up to {sums}"
        if self._is_flat(at_s, ends_s):
            early = f"tuning ended {ends_s - at_s:.0f} s early"
            return f"{early}: by the curve so far they would bring less than {FLAT_GAIN:.0%}"
        return ""

    @property
    def reached(self) -> bool:
        """Every model is as fast as it was to become."""
        return bool(self._until) and all(
            self._latest.get(key, math.inf) <= limit for key, limit in self._until.items()
        )

    def more_time(self, at_s: float) -> MoreTime | None:
        """Say what as much time again would bring; None where not all tasks had a time by the half of it."""
        before, now = self._sum_at(at_s / 2), self._sum_at(at_s)
        if at_s <= 0 or before is None or now is None:
            return None
        return MoreTime(at_s, max(0.0, 1 - now / before))

    def _is_flat(self, at_s: float, ends_s: float) -> bool:
        if at_s < FLAT_SECONDS or not math.isfinite(ends_s):
            return False
        more = self.more_time(at_s)
        return more is not None and more.gain * math.log2(max(1.0, ends_s / at_s)) < FLAT_GAIN

    def _sum_at(self, at_s: float) -> float | None:
        place = bisect.bisect_right(self._at, at_s)
        return None if place == 0 else self._sums[place - 1]


def latencies(models: Sequence[ExtractedModel], rows: Sequence[CampaignTaskRow]) -> dict[Key, float]:
    """Add up what each model's tasks take inside it, those apart that `--tasks` leaves out.

    What another toolchain measured is no time.
    """
    calls_s = {(row.workload_hash, row.device_class): _call_s(row) for row in rows}
    return {
        (model.id, model.device.device_class): sum(
            task.weight * calls_s.get((task.workload.hash, model.device.device_class), 0.0)
            for task in model.tasks
        )
        for model in models
    }


def _call_s(row: CampaignTaskRow) -> float:
    call_s = expected_call_s(row.inside, None if row.best_stale else row.best_s)
    return math.inf if call_s is None else call_s
