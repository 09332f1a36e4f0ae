"""Which candidates are measured again before one of them is called the best."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from orchestrator.storage.rows import MeasurementKind, TrialRow
from workers.messages import Candidate

__all__ = ["MOST", "comparable", "contenders"]

#: Trials are about as fast as the best where they take no more than this much longer (a part of its time).
NOISE = 0.1
#: Contenders at most, the best among them.
MOST = 3


def contenders(best: Sequence[TrialRow]) -> tuple[Candidate, ...]:
    """Choose those to be measured again, in turns, from a task's best trials, the fastest first, with traces.

    None, where nothing comes close to the best, or where all that do have been measured again already.
    """
    near = [
        trial
        for trial in best[:MOST]
        if trial.cost_s is not None and trial.cost_s <= (1 + NOISE) * (best[0].cost_s or 0)
    ]
    if len(near) < 2 or all(trial.kind is MeasurementKind.AGAIN for trial in near):
        return ()
    return tuple(Candidate(trial.candidate, trial.trace or "") for trial in near)


def comparable(best: Sequence[TrialRow], times: Mapping[str, Sequence[float]]) -> bool:
    """Say whether times taken again, by candidate, may be ranked among those of other trials.

    Not, where the device is slower or faster now than it was then: whoever was measured again would fall
    behind those that were not, or get ahead of them, for that alone.
    """
    before = [trial.cost_s for trial in best if trial.candidate in times and trial.cost_s is not None]
    if not before or not all(times.values()):
        return False
    ratio = min(statistics.median(taken) for taken in times.values()) / min(before)
    return 1 / (1 + NOISE) <= ratio <= 1 + NOISE
