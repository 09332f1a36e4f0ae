"""Layouts that are tried out: a few trials for both, a decision, and the rest for the one that is faster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.campaigns.planning.plan import CampaignPlan
from orchestrator.campaigns.planning.tryouts import TRIED
from orchestrator.campaigns.scheduling.alone import tune_alone
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning.actions import Decide, OpenSearch, Propose
from orchestrator.campaigns.tuning.decisions import follow
from orchestrator.campaigns.tuning.events import Decided, NewPlan
from orchestrator.campaigns.tuning.machine import Machine
from orchestrator.campaigns.tuning.tryouts import TriedTasks
from orchestrator.campaigns.tuning.tuner import Tuning
from orchestrator.errors import LeaseLostError
from orchestrator.fleet.work import ProposeWork
from orchestrator.models.extraction import decided_layout, extract_model, tuned_layout
from orchestrator.models.lookup import find_model, find_timed_model
from orchestrator.models.request import ModelRequest
from orchestrator.storage import Storage, TaskState
from tests.kit.close_layouts import BLOCKED, BUDGET, NHWC, CloseToolbox, Timed, begin, spec
from tests.kit.machine_driver import Driver, Unreliable, hashes, task
from tests.kit.planned_campaigns import CPU, OWNER

FORK = multiprocessing.get_context("fork")
#: What makes NHWC the faster one: what differs takes 9 s in blocks, and 5 s there.
NHWC_WINS = {"task2": 1.0, "task3": 2.0, "task4": 2.0, "task5": 1.0, "task6": 1.0}
#: In blocks what differs takes 3.3 s, and in NHWC 5 s.
BLOCKED_WINS = {"task3": 0.1, "task4": 0.1}
REQUEST = ModelRequest(path="/model.onnx")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.db"


@pytest.fixture
def store(path: Path) -> Iterator[Storage]:
    with Storage.open(f"sqlite:///{path}") as opened:
        yield opened


class Run:
    """A run of a campaign."""

    def __init__(
        self,
        store: Storage,
        fleet: Timed,
        *,
        asked: CampaignSpec | None = None,
        campaign_id: int | None = None,
        tools: CloseToolbox | None = None,
    ) -> None:
        self.spec = asked or spec()
        self.store, self.fleet = store, fleet
        self.id, self.plan = begin(store, self.spec, tools or CloseToolbox(), campaign_id)
        follow(store, self.id, OWNER, self.spec, self.plan)
        self.said: list[str] = []
        self.tuning = Tuning(store, self.id, OWNER, self.spec, self.plan, self.said.append, lambda: None)

    def go(self, stopped: Callable[[], bool] = lambda: False) -> CampaignPlan:
        tune_alone(self.store, self.fleet.fleet, self.tuning, stopped)
        return self.tuning.plan

    def tasks(self) -> dict[str, tuple[int, int, TaskState]]:
        rows = self.store.tasks.of_campaign(self.id)
        return {row.name: (row.weight, row.stored, row.state) for row in rows}


def tools_say(store: Storage) -> str:
    """Return the layout in which a build takes the model."""
    return extract_model(store, CloseToolbox(), REQUEST, CPU).prepared.layout


def test_the_faster_layout_gets_what_is_left_and_the_other_keeps_its_trials(store: Storage) -> None:
    run = Run(store, Timed(**NHWC_WINS))
    plan = run.go()
    assert [model.prepared.layout for model in plan.models] == ["nhwc"]
    assert run.tasks() == {
        "task1": (1, BUDGET, TaskState.SATISFIED),
        "task2": (2, BUDGET, TaskState.SATISFIED),
        "task3": (0, TRIED, TaskState.SATISFIED),
        "task4": (0, TRIED, TaskState.SATISFIED),
        "task5": (1, BUDGET, TaskState.SATISFIED),
        "task6": (2, BUDGET, TaskState.SATISFIED),
    }
    (row,) = store.layouts.of_campaign(run.id)
    assert (row.chosen, row.other, row.chosen_s, row.other_s) == ("nhwc", "blocked", 5.0, 9.0)
    assert f"model: the layout is nhwc, {row.reason}" in run.said
    notes = {one.name: one.note for one in store.tasks.of_campaign(run.id)}
    assert notes["task3"] == "its layout was not chosen, but nhwc"
    assert run.fleet.sessions == set()


def test_the_first_layout_stays_where_it_is_no_slower(store: Storage) -> None:
    run = Run(store, Timed(**BLOCKED_WINS))
    plan = run.go()
    assert [model.prepared.layout for model in plan.models] == ["blocked"]
    stored = {name: stored for name, (_, stored, _) in run.tasks().items()}
    assert stored == {**{f"task{n}": BUDGET for n in BLOCKED}, "task5": TRIED, "task6": TRIED}
    assert tools_say(store) == "blocked"


def test_tasks_in_which_they_differ_come_first_and_get_five_trials_in_one_round(store: Storage) -> None:
    run = Run(store, Timed(**NHWC_WINS))
    run.go()
    # Also the one that both call, not as often.
    first = Counter(run.fleet.built[: 6 * TRIED])
    assert min(first[number] for number in (2, 3, 4, 5, 6)) >= TRIED
    assert {first[number] for number in (3, 4, 5, 6)} == {TRIED}
    counts = [w.count for w in run.fleet.diary.works if isinstance(w, ProposeWork)]
    assert counts[:5].count(TRIED) >= 4


def test_a_number_of_trials_is_kept_whoever_wins(store: Storage) -> None:
    run = Run(store, Timed(**NHWC_WINS), asked=spec(trials=100, trials_per_task=None))
    run.go()
    assert run.tuning.recorded == 100
    assert sum(stored for weight, stored, _ in run.tasks().values() if weight) == 100 - 2 * TRIED


def test_the_same_request_again_measures_nothing_and_tries_nothing_out(store: Storage) -> None:
    asked = spec(trials=100, trials_per_task=None)
    Run(store, Timed(**NHWC_WINS), asked=asked).go()
    again = Run(store, Timed(), asked=asked)
    assert (again.plan.missing, again.plan.undecided) == (0, ())
    assert [model.prepared.layout for model in again.plan.models] == ["nhwc"]
    assert list(again.tasks()) == [f"task{n}" for n in NHWC]
    # What it followed is its own as well, for whoever looks at it.
    (row,) = store.layouts.of_campaign(again.id)
    assert (row.chosen, row.chosen_s) == ("nhwc", 5.0)


def test_builds_and_questions_take_the_layout_that_was_chosen(store: Storage) -> None:
    Run(store, Timed(**NHWC_WINS)).go()
    tools = CloseToolbox()
    model_id = extract_model(store, tools, REQUEST, CPU).id
    version = tools.engine_version()
    assert tools_say(store) == "nhwc"
    assert tuned_layout(store, model_id, "plain", CPU, version) == "nhwc"
    assert decided_layout(store, model_id, "plain", CPU, version) == "nhwc"
    auto = extract_model(store, tools, REQUEST, CPU, layout="auto")
    assert (auto.prepared.layout, auto.engine_version) == ("nhwc", f"{version}+nhwc")
    assert tools.extracted == []
    # By name the other one is to be had all the same, and to be looked at changes nothing.
    assert extract_model(store, tools, REQUEST, CPU, layout="blocked").prepared.layout == "blocked"
    assert tools_say(store) == "nhwc"


@pytest.mark.parametrize("winner", ["nhwc", "blocked"])
def test_a_file_is_found_with_the_tasks_of_the_layout_that_it_has(
    store: Storage, tmp_path: Path, winner: str
) -> None:
    file = tmp_path / "file.onnx"
    file.write_bytes(b"a model")
    request, tools = ModelRequest(path=str(file)), CloseToolbox()
    models = [{"path": str(file)}]
    times = NHWC_WINS if winner == "nhwc" else BLOCKED_WINS
    Run(store, Timed(**times), asked=spec(models=models)).go()
    # The last that was taken apart is NHWC, whoever won.
    version = tools.engine_version() + ("+nhwc" if winner == "nhwc" else "")
    assert find_model(store, tools, request, CPU).engine_version == version
    assert find_model(store, tools, request, CPU, layout="auto").engine_version == version

    def none_needed(engine: str | None) -> CloseToolbox:
        raise AssertionError("the store knows it")

    found = find_timed_model(store, none_needed, request, named="file.onnx")
    assert (found.name, found.engine_version) == ("file", version)


def test_the_loser_wins_builds_back_where_somebody_tunes_it_by_name(store: Storage) -> None:
    Run(store, Timed(**NHWC_WINS)).go()
    named = Run(store, Timed(task3=0.1, task4=0.1), asked=spec(layout="blocked", trials_per_task=2 * BUDGET))
    named.go()
    assert tools_say(store) == "blocked"
    # `auto` is what was decided: a campaign goes on with that.
    assert [model.prepared.layout for model in Run(store, Timed()).plan.models] == ["nhwc"]


def test_where_a_task_never_succeeds_the_estimate_holds_and_it_is_said(store: Storage) -> None:
    run = Run(store, Timed(task6=float("inf"), task5=0.001))
    assert [model.prepared.layout for model in run.go().models] == ["blocked"]
    (row,) = store.layouts.of_campaign(run.id)
    assert (row.chosen, row.chosen_s, row.other_s) == ("blocked", None, None)
    assert row.reason == "by its estimate, and not against nhwc: no trial of task6 in nhwc succeeded"
    assert run.tasks()["task6"] == (0, TRIED, TaskState.SATISFIED)
    assert tools_say(store) == "blocked"


def test_a_layout_that_was_tuned_before_is_judged_by_its_first_trials_too(store: Storage) -> None:
    tools = CloseToolbox()
    fleet = Timed(**NHWC_WINS)
    Run(store, fleet, asked=spec(layout="nhwc", trials_per_task=TRIED), tools=tools).go()
    # Later trials of the same tasks are a thousand times faster.
    faster = Timed(task2=0.001, task5=0.001, task6=0.001)
    Run(store, faster, asked=spec(layout="nhwc", trials_per_task=20), tools=tools).go()
    run = Run(store, Timed(task3=1.0, task4=0.5), tools=tools)
    run.go()
    (row,) = store.layouts.of_campaign(run.id)
    # In blocks the shared task is called three times, of which a call takes what it took at first.
    assert (row.chosen, row.chosen_s, row.other_s) == ("blocked", 5.0, 5.0)


# -- what it survives


def test_a_campaign_that_is_cancelled_before_leaves_the_first_choice(store: Storage) -> None:
    run = Run(store, Timed(**NHWC_WINS))
    run.go(lambda: run.fleet.counts["measure"] >= 22)
    assert store.layouts.of_campaign(run.id) == []
    assert [one.name for one in run.tuning.plan.undecided] == ["model"]
    # However many of the other's tasks have a record.
    stored = {name: stored for name, (_, stored, _) in run.tasks().items()}
    assert stored["task5"] + stored["task6"] > 0
    assert tools_say(store) == "blocked"


def test_a_campaign_that_goes_on_measures_no_trial_of_a_tryout_twice(store: Storage) -> None:
    run = Run(store, Timed(**NHWC_WINS))
    run.go(lambda: run.fleet.counts["measure"] >= 12)
    before = {name: stored for name, (_, stored, _) in run.tasks().items()}
    second = Run(store, Timed(**NHWC_WINS), campaign_id=run.id)
    second.go()
    assert second.tasks()["task3"][1] == second.tasks()["task4"][1] == TRIED
    assert second.tuning.recorded == sum(s for _, s, _ in second.tasks().values()) - sum(before.values())
    assert [row.chosen for row in store.layouts.of_campaign(run.id)] == ["nhwc"]


def _killed(url: str, campaign_id: int, before: bool) -> None:
    with Storage.open(url) as store:
        run = Run(store, Timed(**NHWC_WINS), campaign_id=campaign_id)
        decide, write = store.layouts.decide, store.database.write

        def die(*given: Any, **named: Any) -> Any:
            if before:
                # All of the transaction is done but its commit.
                def dies(work: Any) -> Any:
                    def work_and_die(connection: Any) -> None:
                        work(connection)
                        os.kill(os.getpid(), signal.SIGKILL)

                    return write(work_and_die)

                store.database.write = dies  # type: ignore[method-assign]
            row = decide(*given, **named)
            os.kill(os.getpid(), signal.SIGKILL)
            return row

        store.layouts.decide = die  # type: ignore[method-assign]
        run.go()


@pytest.mark.parametrize("before", [True, False], ids=["before-the-commit", "after-it"])
def test_a_kill_at_the_decision_leaves_all_of_it_or_nothing(store: Storage, before: bool) -> None:
    first = Run(store, Timed())
    process = FORK.Process(target=_killed, args=(str(store.path), first.id, before))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    tried = {name: stored for name, (_, stored, _) in first.tasks().items()}
    assert {tried[f"task{n}"] for n in (3, 4, 5, 6)} == {TRIED}
    states = {name: state for name, (_, _, state) in first.tasks().items()}
    rows = store.layouts.of_campaign(first.id)
    closed = {name for name, state in states.items() if state is TaskState.SATISFIED}
    assert (len(rows), closed & {"task3", "task4", "task5", "task6"}) == (
        (0, set()) if before else (1, {"task3", "task4"})
    )
    assert tools_say(store) == ("blocked" if before else "nhwc")
    # Whoever goes on decides the same from what is stored, and measures nothing of the loser's again.
    second = Run(store, Timed(), campaign_id=first.id)
    assert [model.prepared.layout for model in second.go().models] == ["nhwc"]
    assert [row.chosen for row in store.layouts.of_campaign(first.id)] == ["nhwc"]
    assert second.tasks()["task3"] == (0, TRIED, TaskState.SATISFIED)
    assert second.tasks()["task5"] == (1, BUDGET, TaskState.SATISFIED)


def test_a_coordinator_that_lost_the_campaign_decides_nothing(store: Storage) -> None:
    run = Run(store, Timed(**NHWC_WINS))
    decide = store.layouts.decide

    def too_late(*given: Any, **named: Any) -> Any:
        assert store.leases.take_over(run.id, "host:2:other", OWNER, 600)
        return decide(*given, **named)

    store.layouts.decide = too_late  # type: ignore[method-assign]
    with pytest.raises(LeaseLostError):
        run.go()
    assert store.layouts.of_campaign(run.id) == []
    assert {state for _, _, state in run.tasks().values()} == {TaskState.OPEN}


def test_two_campaigns_that_try_the_same_out_end_with_one_layout(store: Storage) -> None:
    first, second = Run(store, Timed(**NHWC_WINS)), Run(store, Timed(**BLOCKED_WINS))
    first.go()
    # It was planned before the other one decided; by its own devices blocks would have won.
    assert [model.prepared.layout for model in second.go().models] == ["nhwc"]
    rows = [store.layouts.of_campaign(run.id)[0] for run in (first, second)]
    assert [(row.chosen, row.chosen_s) for row in rows] == [("nhwc", 5.0)] * 2
    assert second.tasks()["task3"][2] is TaskState.SATISFIED


def test_a_campaign_that_is_resumed_follows_what_others_decided_meanwhile(store: Storage) -> None:
    first = Run(store, Timed())
    Run(store, Timed(**NHWC_WINS)).go()
    second = Run(store, Timed(), campaign_id=first.id)
    assert second.plan.undecided == ()
    second.go()
    assert {name: weight for name, (weight, _, _) in second.tasks().items() if weight} == {
        f"task{n}": calls for n, calls in NHWC.items()
    }
    assert {state for _, _, state in second.tasks().values()} == {TaskState.SATISFIED}


def test_after_a_fifth_of_a_limited_time_it_is_decided_by_what_there_is(store: Storage) -> None:
    slow = Timed(**NHWC_WINS)
    run = Run(store, slow, asked=spec(trials_per_task=None, time_s=600.0))
    began = time.monotonic()
    # The time it has is long over a fifth when the first candidate has been measured.
    run.tuning.ending.ends_at = began + 5.0
    slow.takes = lambda work: time.sleep(0.2) or 0.0  # type: ignore[method-assign, func-returns-value]
    run.go(lambda: time.monotonic() > began + 1.8)
    (row,) = store.layouts.of_campaign(run.id)
    assert (row.chosen, row.chosen_s) == ("blocked", None)
    assert row.reason == "by its estimate, and not against nhwc: the time for trying both out was over"
    states = {name: (weight, state) for name, (weight, _, state) in run.tasks().items()}
    assert states["task5"] == states["task6"] == (0, TaskState.SATISFIED)
    assert states["task3"] == (1, TaskState.OPEN)
    # It could not tell, so another campaign with more time tries again; this one doesn't.
    assert Run(store, Timed()).plan.undecided
    assert Run(store, Timed(), asked=run.spec, campaign_id=run.id).plan.undecided == ()


# -- the machine


def machine(**changes: Any) -> Machine:
    """Three tasks, of which the first two are in doubt."""
    tasks = [task(1, 40, tried=5, cap=5), task(2, 5, tried=5, cap=5), task(3, 40)]
    return Machine("m", tasks, tryouts=[TriedTasks(frozenset({1, 2}), 5)], **changes)


def keep(*numbers: int) -> Decided:
    return Decided(0, {number: NewPlan(1, 40, 0, 0) for number in numbers})


def decided(driver: Driver, answer: Decided) -> None:
    """Carry on until it is asked for a decision, and to the end with this one."""
    while not any(isinstance(action, Decide) for action in driver.actions):
        action = driver.next()
        assert action is not None
        driver.handle(driver.answer(action))
    driver.handle(answer)
    driver.run()


def test_a_machine_asks_once_all_tasks_in_doubt_have_had_their_trials() -> None:
    driver = Driver(machine())
    decided(driver, keep(1, 3))
    assert [a for a in driver.actions if isinstance(a, Decide)] == [Decide(0, in_time=True)]
    assert [len(driver.recorded(number)) for number in (1, 2, 3)] == [40, 5, 40]
    assert set(driver.ends) == {1, 3}
    assert driver.open == set()
    assert driver.machine.done


def test_what_is_in_doubt_comes_before_what_promises_more() -> None:
    tasks = [task(1, 40, tried=5, cap=5), task(2, 40, flops=1e12)]
    driver = Driver(Machine("m", tasks, tryouts=[TriedTasks(frozenset({1}), 5)]))
    assert driver.next() == OpenSearch(1)
    first = driver.until(Propose)
    assert first == OpenSearch(2) or isinstance(first, Propose)


def test_a_machine_waits_for_the_answer_and_does_the_rest_meanwhile() -> None:
    driver = Driver(machine())
    driver.run()
    assert [len(driver.recorded(number)) for number in (1, 2, 3)] == [5, 5, 40]
    assert not driver.machine.done
    assert set(driver.ends) == {3}
    driver.handle(keep(1, 3))
    driver.run()
    assert driver.machine.done


def test_trials_that_are_stored_are_all_that_a_tryout_needs() -> None:
    tasks = [task(1, 40, tried=5, cap=5, stored=5), task(2, 5, tried=5, cap=5, stored=7)]
    asking = Machine("m", tasks, tryouts=[TriedTasks(frozenset({1, 2}), 5)])
    assert asking.outbox() == [Decide(0, in_time=True)]
    assert asking.next_compute() is None
    # Those that are over in the store don't reach the machine.
    assert Machine("m", [], tryouts=[TriedTasks(frozenset(), 5)]).outbox() == [Decide(0, in_time=True)]


def test_a_task_without_enough_candidates_keeps_nobody_waiting() -> None:
    driver = Driver(machine(), spaces={2: 2})
    decided(driver, keep(1, 3))
    assert driver.ends[2].state is TaskState.EXHAUSTED


def test_searches_that_wait_for_a_decision_make_room_for_others() -> None:
    tasks = [task(number, 40, tried=5, cap=5) for number in range(1, 7)]
    driver = Driver(Machine("m", tasks, tryouts=[TriedTasks(frozenset(range(1, 7)), 5)], max_open=2))
    decided(driver, keep(*range(1, 4)))
    assert driver.most_open <= 2
    assert [len(driver.recorded(number)) for number in range(1, 7)] == [40] * 3 + [5] * 3


@pytest.mark.parametrize("steps", range(0, 16))
def test_a_tryout_may_end_at_any_moment_and_what_is_under_way_is_recorded(steps: int) -> None:
    driver = Driver(machine())
    under_way = []
    for _ in range(steps):
        action = driver.next()
        if action is None:
            break
        # Every third answer is late.
        if len(driver.actions) % 3 == 0:
            under_way.append(action)
        else:
            driver.handle(driver.answer(action))
    driver.machine.end_tryouts()
    driver.books()
    driver.handle(keep(1, 3))
    for action in under_way:
        driver.handle(driver.answer(action))
    driver.run()
    assert driver.machine.done
    assert [len(driver.recorded(number)) for number in (1, 3)] == [40, 40]
    assert len(driver.recorded(2)) <= 5
    assert driver.open == set()


@pytest.mark.parametrize("seed", range(30))
def test_on_a_fleet_where_everything_goes_wrong_every_tryout_ends(seed: int) -> None:
    class Deciding(Unreliable):
        def books(self) -> None:
            before = len(self.actions)
            super().books()
            for action in self.actions[before:]:
                if isinstance(action, Decide):
                    self.handle(keep(1, 3))

    driver = Deciding(machine(), seed)
    driver.run()
    recorded = hashes(driver.records)
    assert len(set(recorded)) == len(recorded)
    assert any(isinstance(action, Decide) for action in driver.actions)
    assert len(driver.recorded(2)) <= 5
    assert driver.machine.done


def test_a_machine_that_is_stopped_decides_nothing() -> None:
    driver = Driver(machine())
    driver.until(Propose)
    driver.machine.stop()
    driver.run()
    assert not any(isinstance(action, Decide) for action in driver.actions)
    assert driver.machine.trying
