"""Which candidates are measured again before one of them is called the best."""

from __future__ import annotations

import itertools
from datetime import datetime, timezone

from orchestrator.campaigns.tuning.actions import (
    Action,
    Build,
    EndTask,
    FindContenders,
    Learn,
    Note,
    OpenSearch,
    Propose,
    RecordRecheck,
    RecordRemeasurement,
)
from orchestrator.campaigns.tuning.contenders import MOST, comparable, contenders
from orchestrator.campaigns.tuning.events import (
    Built,
    Contenders,
    Failed,
    Learned,
    Measured,
    Opened,
    Proposed,
)
from orchestrator.campaigns.tuning.machine import MAX_PASSES, Machine
from orchestrator.storage import MeasurementKind, TrialRow
from tests.kit.machine_driver import candidate, good, task
from workers.messages import Candidate, Measurement, TrialState


def trial(number: int, cost_s: float, *, again: bool = False) -> TrialRow:
    return TrialRow(
        id=number,
        workload_hash="w",
        workload_name="conv",
        device_class="cpu",
        candidate=f"candidate-{number}",
        state=TrialState.OK,
        cost_s=cost_s,
        times=(cost_s,),
        message="",
        campaign_id=1,
        device="",
        host="",
        versions={},
        build_s=0.0,
        run_s=0.0,
        token="",
        created_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
        trace=f"trace {number}",
        kind=MeasurementKind.AGAIN if again else MeasurementKind.FULL,
    )


def test_what_comes_close_to_the_best_contends_with_it() -> None:
    found = contenders([trial(1, 1.0), trial(2, 1.09), trial(3, 1.2)])
    assert found == (Candidate("candidate-1", "trace 1"), Candidate("candidate-2", "trace 2"))


def test_a_best_without_rivals_is_the_best() -> None:
    assert contenders([trial(1, 1.0), trial(2, 1.2)]) == ()
    assert contenders([trial(1, 1.0)]) == ()
    assert contenders([]) == ()


def test_those_that_have_been_measured_again_are_not_unless_a_new_one_contends() -> None:
    assert contenders([trial(1, 1.0, again=True), trial(2, 1.05, again=True)]) == ()
    assert len(contenders([trial(1, 1.0), trial(2, 1.05, again=True)])) == 2


def test_a_crowd_of_rivals_is_cut() -> None:
    assert len(contenders([trial(n, 1.0) for n in range(10)])) == MOST


def test_times_of_a_device_that_changed_are_not_compared() -> None:
    best = [trial(1, 1.0), trial(2, 1.05)]
    assert comparable(best, {"candidate-1": [1.2, 1.3], "candidate-2": [1.04]})
    assert not comparable(best, {"candidate-1": [1.2, 1.3], "candidate-2": [1.2]})
    assert not comparable(best, {"candidate-1": [0.5], "candidate-2": [1.05]})
    assert not comparable(best, {})


class Remeasured:
    """A machine whose tasks have had their trials, and what it asked for."""

    def __init__(self, machine: Machine, *, trials: int) -> None:
        self.machine = machine
        self.actions: list[Note] = []
        self._numbers = iter(range(trials))
        self.run()

    def run(self) -> None:
        """Answer all but the search for contenders."""
        while (action := self.machine.next_compute()) is not None:
            match action:
                case OpenSearch(number):
                    self.machine.handle(Opened(number))
                case Propose(number, count):
                    found = tuple(map(candidate, itertools.islice(self._numbers, count)))
                    self.machine.handle(Proposed(number, found))
                case Learn(number, _):
                    self.machine.handle(Learned(number))
                case Build(_, _, token):
                    self.machine.handle(Built(token, 0.1))
                    measure = self.machine.next_measure("cpu")
                    assert measure is not None
                    self.actions.append(measure)
                    self.machine.handle(Measured(token, good(1.0)))
            self.take()
        self.take()

    def take(self) -> list[Note]:
        self.actions += (new := self.machine.outbox())
        return new

    def of(self, kind: type[Action]) -> list[Note]:
        return [action for action in self.actions if isinstance(action, kind)]


def remeasured(trials: int = 40, **changes: object) -> Remeasured:
    return Remeasured(Machine("m", [task(1, budget=trials, **changes)], turns=2), trials=trials)


def test_contenders_are_looked_for_once_a_task_has_had_its_trials_and_measured_in_turns() -> None:
    driven = remeasured()
    assert driven.of(EndTask)
    assert driven.of(FindContenders) == [FindContenders(1)]
    assert not driven.machine.done
    driven.actions.clear()
    driven.machine.handle(Contenders(1, (candidate(3), candidate(5))))
    driven.run()
    recorded = [action for action in driven.actions if isinstance(action, RecordRemeasurement)]
    assert [action.candidate.hash for action in recorded] == [
        "candidate-3",
        "candidate-5",
        "candidate-3",
        "candidate-5",
    ]
    # Whoever leads now may have a rival of its own.
    assert driven.of(FindContenders) == [FindContenders(1)]
    driven.machine.handle(Contenders(1, ()))
    assert driven.machine.done


def test_remeasurement_takes_a_tenth_of_the_trials_at_most() -> None:
    driven = remeasured(trials=30)
    driven.machine.handle(Contenders(1, (candidate(3), candidate(5))))
    assert driven.machine.done


def test_what_was_stored_before_is_left_as_it_is() -> None:
    assert not remeasured(trials=40, stored=40, best_s=1.0).of(FindContenders)


def test_a_task_that_takes_no_time_has_no_remeasured() -> None:
    tasks = [task(1, budget=40, weight=100), task(2, budget=40)]
    driven = Remeasured(Machine("m", tasks, turns=2), trials=80)
    assert driven.of(FindContenders) == [FindContenders(1)]


def test_a_contender_that_fails_this_time_is_left_as_it_was_and_the_remeasurement_ends() -> None:
    driven = remeasured(trials=200)
    for _ in range(MAX_PASSES + 1):
        driven.machine.handle(Contenders(1, (candidate(3), candidate(5))))
        while isinstance(build := driven.machine.next_compute(), Build):
            failed = Measurement(TrialState.BUILD_TIMEOUT, message="killed")
            driven.machine.handle(Built(build.token, 0.1, failed))
        driven.take()
    assert not driven.of(RecordRemeasurement)
    assert driven.machine.done


def test_a_contender_that_computes_wrong_is_stored_as_that() -> None:
    driven = remeasured()
    driven.machine.handle(Contenders(1, (candidate(3), candidate(5))))
    build = driven.machine.next_compute()
    assert isinstance(build, Build)
    driven.machine.handle(Built(build.token, 0.3))
    assert driven.machine.next_measure("cpu") is not None
    wrong = Measurement(TrialState.WRONG_OUTPUT, message="it computes something else")
    driven.machine.handle(Measured(build.token, wrong))
    driven.run()
    assert driven.of(RecordRecheck) == [RecordRecheck(1, candidate(3), wrong, 0.3, build.token)]
    assert len(driven.of(RecordRemeasurement)) == 3


def test_a_worker_that_is_lost_over_a_contender_has_it_measured_by_another() -> None:
    driven = remeasured()
    driven.machine.handle(Contenders(1, (candidate(3), candidate(5))))
    build = driven.machine.next_compute()
    assert isinstance(build, Build)
    driven.machine.handle(Failed(1, "the worker died", True, build.token))
    driven.run()
    assert len(driven.of(RecordRemeasurement)) == 4


def test_stopping_ends_remeasurement_too() -> None:
    driven = remeasured()
    driven.machine.handle(Contenders(1, (candidate(3), candidate(5))))
    driven.machine.stop()
    assert driven.machine.done
    unanswered = remeasured()
    unanswered.machine.stop()
    assert unanswered.machine.done
