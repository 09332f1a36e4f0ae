"""What a machine knows: its tasks, their candidates under way, and what it wants noted."""

from __future__ import annotations

from collections import deque

from orchestrator.campaigns.tuning.actions import CloseSearch, EndTask, Note
from orchestrator.campaigns.tuning.tasks import Attempt, Phase, Place, Task, TaskProgress
from orchestrator.storage.rows import TaskState
from workers.messages import Candidate

__all__ = ["Ledger"]

_BUSY = (Phase.OPENING, Phase.PROPOSING, Phase.LEARNING, Phase.TO_LEARN, Phase.REMEASURING)


class Ledger:
    """The books of one campaign.

    Attributes
    ----------
    tasks : dict of int to TaskProgress
    active : set of int
        Tasks that have not had enough.
    attempts : dict of str to Attempt
        Candidates under way, by the tokens that they were given.
    to_build : deque of str
    to_measure : dict of str to deque of str
        By device class.
    outbox : list of Note
        What needs no capacity.
    stopping : bool
        Nothing is begun any more.
    winding_up : bool
        Nothing is proposed any more.
    """

    def __init__(self, name: str, tasks: list[Task]) -> None:
        self._name = name
        self._tokens = 0
        self.tasks = {t.id: TaskProgress(t, t.stored, t.since_best, t.best_s) for t in tasks}
        self.active = set(self.tasks)
        self.attempts: dict[str, Attempt] = {}
        self.to_build: deque[str] = deque()
        self.to_measure: dict[str, deque[str]] = {t.device_class: deque() for t in tasks}
        self.outbox: list[Note] = []
        self.stopping = False
        self.winding_up = False

    @property
    def busy(self) -> bool:
        """Something is under way, or about to be."""
        return bool(self.attempts) or any(task.phase in _BUSY for task in self.tasks.values())

    @property
    def ending(self) -> bool:
        """No round is begun any more."""
        return self.stopping or self.winding_up

    # -- candidates

    def give_out(
        self,
        task: TaskProgress,
        candidate: Candidate,
        *,
        tries: int = 1,
        moves: int = 0,
        remeasured: bool = False,
        revalidated: bool = False,
        rechecked: bool = False,
    ) -> None:
        """Have a candidate built and measured, under a token of its own."""
        self._tokens += 1
        token = f"{self._name}-{self._tokens}"
        self.attempts[token] = Attempt(
            task.task.id,
            candidate,
            tries,
            moves,
            remeasured=remeasured,
            revalidated=revalidated,
            rechecked=rechecked,
        )
        if not rechecked:
            task.waiting.add(token)
        self.to_build.append(token)

    def take_back(self, token: str) -> tuple[TaskProgress, Attempt]:
        """Take a candidate out of what is under way."""
        attempt = self.attempts.pop(token)
        task = self.tasks[attempt.task]
        task.waiting.discard(token)
        return task, attempt

    def is_at(self, token: str, *places: Place) -> bool:
        """Say whether a candidate is under way, and at one of these places."""
        return token in self.attempts and self.attempts[token].at in places

    def drop_first_builds(self) -> None:
        """Build none of the candidates that were never measured."""
        for token in self.to_build:
            attempt = self.attempts[token]
            if not (attempt.remeasured or attempt.rechecked):
                self.take_back(token)
        self.to_build = deque(token for token in self.to_build if token in self.attempts)

    def drop_waiting_of(self, task: TaskProgress) -> None:
        """Build and measure none of a task's candidates that wait for it."""
        for waiting in (self.to_build, *self.to_measure.values()):
            for token in [token for token in waiting if self.attempts[token].task == task.task.id]:
                self.take_back(token)
                waiting.remove(token)

    def drop_all_waiting(self) -> None:
        """Build and measure none of the candidates that wait for it."""
        for waiting in (self.to_build, *self.to_measure.values()):
            for token in waiting:
                self.take_back(token)
            waiting.clear()

    # -- tasks

    def end(self, task: TaskProgress, state: TaskState, note: str) -> None:
        """End a task: it gets no more trials."""
        task.phase = Phase.OVER
        self.active.discard(task.task.id)
        self.close(task)
        self.outbox.append(EndTask(task.task.id, state, note))

    def close(self, task: TaskProgress) -> None:
        """Close a task's search, where it has one."""
        if task.open:
            task.open = False
            self.outbox.append(CloseSearch(task.task.id))
