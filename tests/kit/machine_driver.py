"""Drives a machine the way a fleet would, and keeps the books the tests check."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from orchestrator.campaigns.tuning.actions import (
    Action,
    Build,
    CloseSearch,
    EndTask,
    Learn,
    Measure,
    Note,
    OpenSearch,
    Propose,
    RecordTrial,
)
from orchestrator.campaigns.tuning.events import Built, Event, Failed, Learned, Measured, Opened, Proposed
from orchestrator.campaigns.tuning.machine import Machine
from orchestrator.campaigns.tuning.tasks import Task
from workers.messages import Candidate, Measurement, TrialState


def task(number: int = 1, budget: int = 8, **changes: object) -> Task:
    values: dict[str, object] = {
        "id": number,
        "workload_hash": f"workload-{number}",
        "device_class": "cpu",
        "name": f"task{number}",
        "weight": 1,
        "flops": 1e6,
        "budget": budget,
    }
    return Task(**{**values, **changes})  # type: ignore[arg-type]


def candidate(number: int) -> Candidate:
    return Candidate(f"candidate-{number}", f"trace {number}")


def good(seconds: float = 1.0) -> Measurement:
    return Measurement(TrialState.OK, (seconds,))


def lost(message: str = "the device was gone") -> Measurement:
    return Measurement(TrialState.DEVICE_LOST, message=message)


class Driver:
    """Answers every action at once, with fresh candidates, until told otherwise.

    Parameters
    ----------
    spaces : dict of int to int
        Candidates a task's space has; without an entry there is no end of them.
    """

    def __init__(self, machine: Machine, spaces: dict[int, int] | None = None) -> None:
        self.machine = machine
        self.spaces = spaces or {}
        self.proposed: Counter[int] = Counter()
        self.open: set[int] = set()
        self.most_open = 0
        self.records: list[RecordTrial] = []
        self.ends: dict[int, EndTask] = {}
        self.actions: list[Note] = []

    # -- the books

    def books(self) -> None:
        """Take what needs no capacity."""
        for action in self.machine.outbox():
            self.actions.append(action)
            match action:
                case RecordTrial():
                    self.records.append(action)
                case EndTask(number, _, _):
                    assert number not in self.ends, f"task {number} ended twice"
                    self.ends[number] = action
                case CloseSearch(number):
                    self.open.discard(number)

    def handle(self, *events: Event) -> None:
        for event in events:
            self.machine.handle(event)
            self.books()

    def recorded(self, number: int) -> list[str]:
        return [record.candidate.hash for record in self.records if record.task == number]

    # -- work

    def next(self) -> Action | None:
        action = self.machine.next_compute() or self.machine.next_measure("cpu")
        if action is not None:
            self.actions.append(action)
        self.books()
        return action

    def answer(self, action: Action) -> Event:
        """Return what a faultless worker would say."""
        match action:
            case OpenSearch(number):
                self.open.add(number)
                self.most_open = max(self.most_open, len(self.open))
                return Opened(number)
            case Propose(number, count):
                assert number in self.open, "asked a search that is not open"
                return Proposed(number, self.candidates(number, count))
            case Build(_, _, token):
                return Built(token, 0.1)
            case Measure(_, _, token):
                return Measured(token, good())
            case Learn(number, _):
                assert number in self.open, "taught a search that is not open"
                return Learned(number)
        raise AssertionError(f"no work: {action}")

    def candidates(self, number: int, count: int) -> tuple[Candidate, ...]:
        left = self.spaces.get(number, 1 << 30) - self.proposed[number]
        first = self.proposed[number]
        self.proposed[number] += min(count, left)
        return tuple(candidate(number * 1_000_000 + first + i) for i in range(min(count, left)))

    def until(self, kind: type[Action]) -> Action:
        """Carry on until an action of this kind comes, which stays unanswered."""
        while True:
            action = self.next()
            assert action is not None, f"no {kind.__name__} came"
            if isinstance(action, kind):
                return action
            self.handle(self.answer(action))

    def run(self) -> None:
        """Carry on until nothing is left to do."""
        self.books()
        while (action := self.next()) is not None:
            self.handle(self.answer(action))


class Unreliable(Driver):
    """A fleet of several cores and a device on which everything that can go wrong does, at random.

    Actions wait in a bag and end in any order; some end badly, some reports come twice or too late.
    """

    def __init__(self, machine: Machine, seed: int, spaces: dict[int, int] | None = None) -> None:
        super().__init__(machine, spaces)
        self.random = random.Random(seed)
        self.under_way: list[Action] = []
        self.old: list[Event] = []

    def run(self) -> None:
        self.books()
        for _ in range(100_000):
            self._give_out()
            if not self.under_way:
                if self.machine.done:
                    return
                raise AssertionError("nothing is under way, and the machine isn't done")
            action = self.under_way.pop(self.random.randrange(len(self.under_way)))
            event = self._outcome(action)
            self.handle(event)
            self.old.append(event)
            if self.random.random() < 0.2:
                self.handle(self._late())
        raise AssertionError("it does not end")

    def _give_out(self) -> None:
        slots = self.random.randint(1, 6)
        while len(self.under_way) < slots:
            action = self.next()
            if action is None:
                return
            self.under_way.append(action)

    def _outcome(self, action: Action) -> Event:
        kind = self.random.random()
        number = action.task
        if isinstance(action, Build):
            if kind < 0.1:
                return Failed(number, "the builder died", lost=True, token=action.token)
            if kind < 0.25:
                state = self.random.choice([TrialState.BUILD_ERROR, TrialState.BUILD_TIMEOUT])
                return Built(action.token, 0.1, Measurement(state, message="no"))
        elif isinstance(action, Measure):
            if kind < 0.1:
                return Failed(number, "the measurer died", lost=True, token=action.token)
            if kind < 0.2:
                return Measured(action.token, lost())
            if kind < 0.35:
                state = self.random.choice([TrialState.RUN_ERROR, TrialState.RUN_TIMEOUT])
                return Measured(action.token, Measurement(state, message="no"))
            return Measured(action.token, good(self.random.uniform(0.5, 2.0)))
        elif kind < 0.1:
            self.open.discard(number)
            return Failed(number, "the searcher died", lost=True)
        return self.answer(action)

    def _late(self) -> Event:
        """Repeat an old report about a candidate; searches report once."""
        tokens = [event for event in self.old if isinstance(event, Built | Measured)]
        return self.random.choice(tokens) if tokens else Measured("nobody-1", good())


def hashes(records: Iterable[RecordTrial]) -> list[tuple[int, str]]:
    return [(record.task, record.candidate.hash) for record in records]
