"""Which candidates are measured again before one of them is called the best."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.storage.records import TrialRow
from workers.messages import Candidate

__all__ = ["MOST", "contenders"]

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
    if len(near) < 2 or all(trial.again for trial in near):
        return ()
    return tuple(Candidate(trial.candidate, trial.trace or "") for trial in near)
