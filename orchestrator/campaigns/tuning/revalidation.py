"""What was the best with another toolchain is measured with this one, before anything is searched for."""

from __future__ import annotations

from orchestrator.campaigns.tuning.actions import RecordRevalidation
from orchestrator.campaigns.tuning.ledger import Ledger
from orchestrator.campaigns.tuning.limits import SAYS_NOTHING
from orchestrator.campaigns.tuning.rounds import Rounds
from orchestrator.campaigns.tuning.tasks import Attempt, Phase, TaskProgress
from workers.messages import Measurement

__all__ = ["Revalidation"]


class Revalidation:
    """The first of a task's trials, where there are records of another toolchain. They count as trials."""

    def __init__(self, ledger: Ledger, rounds: Rounds) -> None:
        self._ledger, self._rounds = ledger, rounds
        for number in sorted(ledger.active):
            task = ledger.tasks[number]
            candidates = task.task.stale[: max(0, task.limit - task.stored)]
            if task.phase is Phase.IDLE and candidates:
                task.phase = Phase.REVALIDATING
                for candidate in candidates:
                    task.seen.add(candidate.hash)
                    ledger.give_out(task, candidate, revalidated=True)

    def measured(self, task: TaskProgress, attempt: Attempt, measurement: Measurement, token: str) -> None:
        """Take a result, but for what says nothing about a candidate: it stays stale then."""
        if measurement.state not in SAYS_NOTHING:
            self._rounds.count(task, measurement)
            taken = RecordRevalidation(attempt.task, attempt.candidate, measurement, attempt.build_s, token)
            self._ledger.outbox.append(taken)
        self.go_on(task)

    def go_on(self, task: TaskProgress) -> None:
        """Have a task's search begin where none of these is waited for any more."""
        if task.phase is Phase.REVALIDATING and not task.waiting:
            self._rounds.begin(task)

    def wind_up(self) -> None:
        """End it for tasks whose candidates were dropped."""
        for task in self._ledger.tasks.values():
            self.go_on(task)
