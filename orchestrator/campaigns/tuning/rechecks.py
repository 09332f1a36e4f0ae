"""What was measured while its device had drifted is measured again, where it is the best or may be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from orchestrator.campaigns.tuning.actions import RecordRecheck
from orchestrator.campaigns.tuning.ledger import Ledger
from orchestrator.campaigns.tuning.limits import SAYS_NOTHING
from orchestrator.campaigns.tuning.tasks import Attempt, TaskProgress
from workers.messages import Candidate, Measurement

__all__ = ["AT_ONCE", "LEAST_RECHECKED", "MOST_RECHECKED", "RECHECKED_PART", "Rechecks"]

#: Candidates of one task that are measured again after a drift, and in a whole run.
AT_ONCE, MOST_RECHECKED = 3, 6
#: Of the trials of a run, the part that may be spent on it; so many in any case.
RECHECKED_PART, LEAST_RECHECKED = 10, 30


class Rechecks:
    """Candidates that are built and measured once more, beside what else is done with their tasks."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._given = 0
        self._of_task: dict[int, int] = {}

    def begin(self, found: Mapping[int, Sequence[Candidate]]) -> int:
        """Have candidates of tasks measured again, those of the dearest tasks first; return how many."""
        ledger = self._ledger
        if ledger.stopping:
            return 0
        measured = sum(task.stored - task.task.stored for task in ledger.tasks.values())
        left = max(LEAST_RECHECKED, measured // RECHECKED_PART) - self._given
        under_way = {(attempt.task, attempt.candidate.hash) for attempt in ledger.attempts.values()}
        before = self._given
        for task in sorted((ledger.tasks[number] for number in found), key=_cost, reverse=True):
            number = task.task.id
            had = self._of_task.get(number, 0)
            most = max(0, min(AT_ONCE, MOST_RECHECKED - had, left))
            fresh = [one for one in found[number][:AT_ONCE] if (number, one.hash) not in under_way]
            for candidate in [] if task.dropped else fresh[:most]:
                ledger.give_out(task, candidate, rechecked=True)
                self._of_task[number] = self._of_task.get(number, 0) + 1
                self._given += 1
                left -= 1
        return self._given - before

    def measured(self, task: TaskProgress, attempt: Attempt, measurement: Measurement, token: str) -> None:
        """Take a result, but for what says nothing about a candidate: it stays marked then."""
        if measurement.state not in SAYS_NOTHING:
            taken = RecordRecheck(attempt.task, attempt.candidate, measurement, attempt.build_s, token)
            self._ledger.outbox.append(taken)


def _cost(task: TaskProgress) -> float:
    """Return what a task's calls take; one that has no time yet comes last."""
    return task.task.weight * task.best_s if math.isfinite(task.best_s) else 0.0
