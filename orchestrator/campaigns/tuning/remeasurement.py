"""The best of a task are measured again, in turns: of many measurements the least is also the luckiest."""

from __future__ import annotations

import math

from orchestrator.campaigns.tuning.actions import FindContenders, RecordRecheck, RecordRemeasurement
from orchestrator.campaigns.tuning.ledger import Ledger
from orchestrator.campaigns.tuning.tasks import Attempt, Phase, TaskProgress
from workers.messages import Candidate, Measurement, TrialState

__all__ = ["MAX_PASSES", "REMEASURED_PART", "REMEASURED_SHARE", "Remeasurement"]

#: Of the trials of a run, the part that may be spent on measuring the best again.
REMEASURED_PART = 10
#: Tasks that take this part of the model's time have their best measured again, the dearest first.
REMEASURED_SHARE = 0.9
#: How often contenders are asked for: what was second may turn out the best, and have a rival of its own.
MAX_PASSES = 3


class Remeasurement:
    """What comes after all tasks have had their trials.

    Parameters
    ----------
    turns : int
        How often a contender is measured again; 0 for not at all.
    """

    def __init__(self, ledger: Ledger, turns: int) -> None:
        self._ledger, self._turns = ledger, turns
        self._left: int | None = None  # measurements that it may take; None until it begins

    def begin_if_due(self) -> None:
        """Have contenders looked for, once all tasks had enough, where this run measured any of them."""
        ledger = self._ledger
        over = not ledger.active or ledger.winding_up
        if not self._turns or not over or ledger.stopping or self._left is not None or ledger.busy:
            return
        tasks = ledger.tasks.values()
        self._left = sum(t.stored - t.task.stored for t in tasks) // REMEASURED_PART
        timed = [task for task in tasks if math.isfinite(task.best_s) and not task.dropped]
        timed.sort(key=lambda task: task.task.weight * task.best_s, reverse=True)
        share_left = REMEASURED_SHARE * sum(task.task.weight * task.best_s for task in timed)
        for task in timed:
            if share_left <= 0:
                break
            share_left -= task.task.weight * task.best_s
            if task.stored > task.task.stored:
                self._find_contenders(task)

    def contended(self, task: TaskProgress, candidates: tuple[Candidate, ...]) -> None:
        """Have contenders built and measured in turns, as far as there are measurements left for that."""
        if task.phase is not Phase.REMEASURING or task.waiting:
            return
        left = self._left or 0
        candidates = candidates[: left // self._turns]
        if len(candidates) < 2 or self._ledger.stopping or task.passes > MAX_PASSES:
            task.phase = Phase.OVER
            return
        self._left = left - self._turns * len(candidates)
        for candidate in candidates * self._turns:
            self._ledger.give_out(task, candidate, remeasured=True)

    def measured(self, task: TaskProgress, attempt: Attempt, measurement: Measurement, token: str) -> None:
        """Take a contender's result; one that fails this time is left as it was, unless it computes wrong."""
        if measurement.state is TrialState.WRONG_OUTPUT:
            # Whatever it took before: it was timed in a campaign that didn't compare.
            wrong = RecordRecheck(attempt.task, attempt.candidate, measurement, attempt.build_s, token)
            self._ledger.outbox.append(wrong)
        elif measurement.times:
            taken = RecordRemeasurement(attempt.task, attempt.candidate, measurement, token)
            self._ledger.outbox.append(taken)
        self.go_on(task)

    def go_on(self, task: TaskProgress) -> None:
        """Look for contenders once more, where all of the last have a result: there may be new ones."""
        if task.waiting:
            return
        if self._ledger.stopping:
            task.phase = Phase.OVER
        else:
            self._find_contenders(task)

    def stop(self) -> None:
        """End it where nothing of it is under way."""
        for task in self._ledger.tasks.values():
            if task.phase is Phase.REMEASURING and not task.waiting:
                task.phase = Phase.OVER

    def _find_contenders(self, task: TaskProgress) -> None:
        task.phase = Phase.REMEASURING
        task.passes += 1
        self._ledger.outbox.append(FindContenders(task.task.id))
