"""The rounds of tasks: a search proposes, and learns when the last of its candidates has a result.

A task's way through a round is: idle, opening (where it has no search), proposing, running, learning, idle.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

from orchestrator.campaigns.tuning.actions import Learn, OpenSearch, Propose, RecordTrial
from orchestrator.campaigns.tuning.events import NewPlan
from orchestrator.campaigns.tuning.ledger import Ledger
from orchestrator.campaigns.tuning.limits import MAX_ATTEMPTS, MAX_MOVES
from orchestrator.campaigns.tuning.ranking import Ranking
from orchestrator.campaigns.tuning.tasks import Attempt, Phase, TaskProgress
from orchestrator.storage.rows import TaskState
from workers.messages import Candidate, Measurement, Record

__all__ = ["LARGEST_BATCH", "LARGEST_PART", "Rounds"]

#: Candidates of the largest round: MetaSchedule's num_trials_per_iter.
LARGEST_BATCH = 64
#: Rounds are made larger for many devices up to this part of a task's budget: searches learn between rounds.
LARGEST_PART = 4
_AT_REST = (Phase.IDLE, Phase.HELD)


class Rounds:
    """The rounds of all tasks of a campaign; for the parameters see
    :class:`~orchestrator.campaigns.tuning.machine.Machine`.
    """

    def __init__(self, ledger: Ledger, *, batch: int, first: int, plateau: int | None, max_open: int) -> None:
        self._ledger, self._batch, self._first, self._plateau = ledger, batch, first, plateau
        self._max_open, self._devices = max_open, 1
        self._to_learn: deque[int] = deque()
        self._ranking = Ranking()
        self._ticks = 0
        for task in list(ledger.tasks.values()):
            self._ranking.note(task)
            self._end_if_enough(task)

    def fit(self, devices: int, max_open: int) -> None:
        """Follow a fleet that changes."""
        self._devices, self._max_open = devices, max_open

    def wind_up(self) -> None:
        """Learn nothing more, and end the rounds that wait for nothing."""
        while self._to_learn:
            self._ledger.tasks[self._to_learn.popleft()].phase = Phase.IDLE
        for task in self._ledger.tasks.values():
            self.end_if_last(task)

    # -- what is next

    def next_lesson(self) -> Learn | None:
        """Return what the next search is to learn."""
        if not self._to_learn:
            return None
        task = self._ledger.tasks[self._to_learn.popleft()]
        task.phase = Phase.LEARNING
        records, task.results = tuple(task.results), []
        return Learn(task.task.id, records)

    def next_search(self) -> OpenSearch | Propose | None:
        """Begin the next round, of the task where it promises most."""
        ready = self._ready
        if not ready:
            return None
        task = max(ready, key=self._rank)
        if not task.open and not self._make_room():
            return None
        self._ticks += 1
        task.last_used = self._ticks
        if not task.open:
            task.phase = Phase.OPENING
            return OpenSearch(task.task.id)
        task.phase = Phase.PROPOSING
        return Propose(task.task.id, self._size(task))

    @property
    def computable(self) -> bool:
        """:meth:`next_lesson` or :meth:`next_search` has something."""
        if self._to_learn:
            return True
        ready = self._ready
        if not ready:
            return False
        opened = self._opened
        return (
            max(ready, key=self._rank).open
            or len(opened) < self._max_open
            or any(task.phase in _AT_REST for task in opened)
        )

    def _rank(self, task: TaskProgress) -> tuple[bool, tuple[float, float]]:
        """Rank a task: what a decision waits for comes before all else."""
        return task.urgent, self._ranking.promise(task)

    @property
    def _ready(self) -> list[TaskProgress]:
        """Tasks that could begin a round."""
        ledger = self._ledger
        if ledger.ending:
            return []
        return [ledger.tasks[i] for i in ledger.active if ledger.tasks[i].phase is Phase.IDLE]

    @property
    def _opened(self) -> list[TaskProgress]:
        return [t for t in self._ledger.tasks.values() if t.open or t.phase is Phase.OPENING]

    def _size(self, task: TaskProgress) -> int:
        """Say how many candidates to ask for.

        A task's first round is small: a campaign that ends early shall have tried every task, and what a
        first few candidates take says where the others are worth their time. After it, what is left of the
        budget is split into rounds of about one size, none over the batch, which grows with the devices.
        """
        left = task.limit - task.stored
        if task.urgent:
            return task.task.tried - task.stored
        batch = max(self._batch, min(self._devices, task.task.budget // LARGEST_PART, LARGEST_BATCH))
        if task.stored == 0:
            return min(left, self._first * batch // self._batch)
        return math.ceil(left / math.ceil(left / batch))

    def _make_room(self) -> bool:
        """Close the idle search used longest ago where too many are open; say whether one more may open."""
        opened = self._opened
        if len(opened) < self._max_open:
            return True
        idle = [task for task in opened if task.phase in _AT_REST]
        if idle:
            self._ledger.close(min(idle, key=lambda task: task.last_used))
        return bool(idle)

    # -- what happened

    def opened(self, task: TaskProgress) -> None:
        """Take that a search is open."""
        if task.phase is Phase.OPENING:
            task.open, task.phase, task.tries = True, Phase.IDLE, 0
            self._end_if_dropped(task)

    def proposed(self, task: TaskProgress, candidates: tuple[Candidate, ...]) -> None:
        """Have what a search proposed built and measured; where it has nothing new, the task is over."""
        if task.phase is not Phase.PROPOSING or self._end_if_dropped(task):
            return
        # A search that was opened anew does not know what its predecessor had under way.
        fresh = [c for c in {c.hash: c for c in candidates}.values() if c.hash not in task.seen]
        if candidates and not fresh:
            task.phase = Phase.IDLE
            task.tries += 1
        if not candidates or task.tries >= MAX_ATTEMPTS:
            note = f"its space was used up after {task.stored} trials"
            self._ledger.end(task, TaskState.EXHAUSTED, note)
            return
        if not fresh:
            return
        task.tries = 0
        if self._ledger.ending:
            task.phase = Phase.IDLE
            return
        task.phase = Phase.RUNNING
        for candidate in fresh[: task.limit - task.stored]:
            task.seen.add(candidate.hash)
            self._ledger.give_out(task, candidate)

    def measured(self, task: TaskProgress, attempt: Attempt, measurement: Measurement, token: str) -> None:
        """Take a candidate's result: it is a trial."""
        self.count(task, measurement)
        task.results.append(Record(attempt.candidate, measurement.times, measurement.state))
        trial = RecordTrial(attempt.task, attempt.candidate, measurement, attempt.build_s, token)
        self._ledger.outbox.append(trial)
        self.end_if_last(task)

    def count(self, task: TaskProgress, measurement: Measurement) -> None:
        """Count a trial, and keep its time where that is the best."""
        task.stored += 1
        cost = _median(measurement.times) if measurement.times else math.inf
        if cost < task.best_s:
            task.best_s, task.since_best = cost, 0
            self._ranking.note(task)
        else:
            task.since_best += 1

    def begin(self, task: TaskProgress) -> None:
        """Have a task's rounds begin, where it hasn't had enough."""
        task.phase = Phase.IDLE
        if not self._end_if_dropped(task):
            self._end_if_enough(task)

    def end_if_last(self, task: TaskProgress) -> None:
        """End a round that waits for no result any more."""
        if task.phase is Phase.RUNNING and not task.waiting:
            if task.results and not self._ledger.ending:
                task.phase = Phase.TO_LEARN
                self._to_learn.append(task.task.id)
            else:
                task.phase = Phase.IDLE
                self._end_if_enough(task)

    def learned(self, task: TaskProgress) -> None:
        """Take that a search has learned."""
        if task.phase is Phase.LEARNING:
            task.phase, task.tries, task.moves = Phase.IDLE, 0, 0
            task.rounds += 1
            if not self._end_if_dropped(task):
                self._end_if_enough(task)

    def failed(self, task: TaskProgress, message: str, *, lost: bool, moved: bool) -> None:
        """Take that a search failed. Its process may be gone: it is opened anew, from the records."""
        if task.phase not in (Phase.OPENING, Phase.PROPOSING, Phase.LEARNING):
            return
        task.open = task.open or task.phase is Phase.OPENING
        self._ledger.close(task)
        task.tries += not moved
        task.moves += moved
        if task.phase is Phase.LEARNING:
            task.rounds += 1
        task.phase = Phase.IDLE
        if self._end_if_dropped(task):
            return
        # It may have been the last it was to learn.
        over = self._end_if_enough(task)
        spent = task.tries >= MAX_ATTEMPTS or task.moves > MAX_MOVES
        if not over and (not lost or spent):
            self._ledger.end(task, TaskState.FAILED, message)

    # -- a layout that its model doesn't have

    def planned_anew(self, task: TaskProgress, plan: NewPlan) -> None:
        """Take what a decision makes of a task that stays."""
        task.task = replace(task.task, weight=plan.weight, budget=plan.budget, tried=plan.tried, cap=plan.cap)
        if task.phase in _AT_REST:
            task.phase = Phase.IDLE
            self._end_if_enough(task)

    def drop(self, task: TaskProgress) -> None:
        """End a task that no model has. What is being built or measured of it may end, and is a trial."""
        task.dropped = True
        self._ledger.active.discard(task.task.id)
        self._ledger.drop_waiting_of(task)
        if task.task.id in self._to_learn:
            self._to_learn.remove(task.task.id)
        if task.phase not in (Phase.OPENING, Phase.PROPOSING, Phase.LEARNING):
            self._end_if_dropped(task)

    def _end_if_dropped(self, task: TaskProgress) -> bool:
        if task.dropped:
            task.phase = Phase.OVER
            self._ledger.close(task)
        return task.dropped

    def _end_if_enough(self, task: TaskProgress) -> bool:
        """End a task that has had enough, for now or for good; say whether it had."""
        if task.task.cap and task.stored >= task.task.cap:
            task.phase = Phase.HELD
            return True
        if task.stored >= task.task.budget:
            self._ledger.end(task, TaskState.SATISFIED, f"{task.stored} trials")
            return True
        if self._plateau is not None and task.stored and task.since_best >= self._plateau:
            note = f"the last {task.since_best} trials brought nothing better"
            self._ledger.end(task, TaskState.PLATEAUED, note)
            return True
        return False


def _median(values: tuple[float, ...]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
