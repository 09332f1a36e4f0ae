"""The campaign as a machine: budgets kept, losses mended, every ending reached."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from orchestrator.campaigns.tuning.actions import (
    Action,
    Build,
    CloseSearch,
    EndTask,
    Learn,
    Measure,
    OpenSearch,
    Propose,
    RecordTrial,
)
from orchestrator.campaigns.tuning.events import Built, Failed, Learned, Measured, Opened, Proposed
from orchestrator.campaigns.tuning.machine import MAX_ATTEMPTS, MAX_MOVES, Machine
from orchestrator.storage import TaskState
from tests.kit.machine_driver import Driver, Unreliable, candidate, good, hashes, lost, task
from workers.messages import Measurement, Record, TrialState

# -- the round trip


def test_a_task_goes_from_search_to_record_and_learns_from_it() -> None:
    machine = Machine("m", [task(1, budget=1)])
    assert machine.next_compute() == OpenSearch(1)
    machine.handle(Opened(1))
    assert machine.next_compute() == Propose(1, 1)
    machine.handle(Proposed(1, (candidate(7),)))
    build = machine.next_compute()
    assert isinstance(build, Build)
    assert machine.next_measure("cpu") is None
    machine.handle(Built(build.token, 0.25))
    measure = machine.next_measure("cpu")
    assert measure == Measure(1, candidate(7), build.token)
    machine.handle(Measured(build.token, good(2.0)))
    assert machine.outbox() == [RecordTrial(1, candidate(7), good(2.0), 0.25, build.token)]
    learn = machine.next_compute()
    assert learn == Learn(1, (Record(candidate(7), (2.0,)),))
    assert not machine.done
    machine.handle(Learned(1))
    assert machine.outbox() == [CloseSearch(1), EndTask(1, TaskState.SATISFIED, "1 trials")]
    assert machine.done


def test_a_measurement_comes_with_the_time_to_beat() -> None:
    machine = Machine("m", [task(1, budget=8, stored=3, best_s=0.5)])
    machine.next_compute()
    machine.handle(Opened(1))
    machine.next_compute()
    machine.handle(Proposed(1, (candidate(1), candidate(2))))
    beaten = []
    for _ in range(2):
        build = machine.next_compute()
        assert isinstance(build, Build)
        machine.handle(Built(build.token, 0.25))
        measure = machine.next_measure("cpu")
        assert measure is not None
        beaten.append(measure.best_known_s)
        machine.handle(Measured(build.token, good(0.25)))
    assert beaten == [0.5, 0.25]


def test_a_machine_without_tasks_is_done() -> None:
    assert Machine("m", []).done


def test_a_task_that_has_its_trials_ends_at_once() -> None:
    machine = Machine("m", [task(1, budget=4, stored=4)])
    assert machine.done
    assert machine.outbox() == [EndTask(1, TaskState.SATISFIED, "4 trials")]
    assert machine.next_compute() is None


def test_a_round_starts_while_another_task_is_measured() -> None:
    machine = Machine("m", [task(1), task(2)])
    first, second = machine.next_compute(), machine.next_compute()
    assert {first.task, second.task} == {1, 2}  # type: ignore[union-attr]
    assert machine.next_compute() is None


def test_learning_comes_before_building_and_building_before_searching() -> None:
    driver = Driver(Machine("m", [task(1, budget=2), task(2, budget=2), task(3, budget=2)]))
    machine = driver.machine
    for _ in range(2):
        driver.handle(Opened(machine.next_compute().task))  # type: ignore[union-attr]
    first = driver.until(Propose)
    driver.handle(Proposed(first.task, (candidate(1),)))
    build = driver.next()
    assert isinstance(build, Build)
    driver.handle(Built(build.token, 0.1))
    measure = machine.next_measure("cpu")
    assert isinstance(measure, Measure)
    second = driver.until(Propose)
    driver.handle(Proposed(second.task, (candidate(2), candidate(3))))
    driver.handle(Measured(measure.token, good()))
    assert isinstance(driver.next(), Learn)
    assert isinstance(driver.next(), Build)
    assert isinstance(driver.next(), Build)
    assert not isinstance(driver.next(), Build | Learn)


# -- budgets


@pytest.mark.parametrize(("budget", "stored"), [(1, 0), (16, 0), (17, 0), (40, 3), (33, 32)])
def test_exactly_the_missing_trials_are_measured(budget: int, stored: int) -> None:
    driver = Driver(Machine("m", [task(1, budget, stored=stored)]))
    driver.run()
    assert len(driver.records) == budget - stored
    assert driver.ends[1].state == "satisfied"
    assert driver.machine.done


def test_a_first_round_is_small_and_the_others_of_about_one_size_none_over_the_batch() -> None:
    driver = Driver(Machine("m", [task(1, budget=24)], batch=16))
    driver.run()
    assert [a.count for a in driver.actions if isinstance(a, Propose)] == [4, 10, 10]


@pytest.mark.parametrize(
    ("devices", "budget", "rounds"),
    [
        (16, 164, [4] + 10 * [16]),
        (32, 168, [8] + 5 * [32]),
        (500, 272, [16] + 4 * [64]),
        # A search that learned nothing between its rounds would be a random one.
        (500, 80, [5, 19, 19, 19, 18]),
        (500, 24, [4, 10, 10]),
    ],
)
def test_rounds_grow_with_the_devices_to_a_fourth_of_the_budget(
    devices: int, budget: int, rounds: list[int]
) -> None:
    machine = Machine("m", [task(1, budget=budget)], batch=16)
    machine.fit(devices, max_open=24)
    driver = Driver(machine)
    driver.run()
    assert [a.count for a in driver.actions if isinstance(a, Propose)] == rounds


def test_devices_that_go_while_a_search_proposes_cost_no_candidate() -> None:
    machine = Machine("m", [task(1, budget=272)], batch=16)
    machine.fit(64, max_open=24)
    driver = Driver(machine)
    driver.until(Propose)
    machine.fit(1, max_open=24)
    driver.handle(Proposed(1, tuple(candidate(n) for n in range(16))))
    assert machine.in_flight == 16


def test_every_task_has_had_its_first_round_before_any_has_a_second() -> None:
    driver = Driver(Machine("m", [task(n, budget=20) for n in (1, 2, 3)], batch=16))
    driver.run()
    rounds = [a.task for a in driver.actions if isinstance(a, Propose)]
    assert sorted(rounds[:3]) == [1, 2, 3]


def test_a_search_that_proposes_more_than_it_was_asked_for_does_not_break_the_budget() -> None:
    driver = Driver(Machine("m", [task(1, budget=3)]))
    driver.until(Propose)
    driver.handle(Proposed(1, tuple(candidate(n) for n in range(10))))
    driver.run()
    assert len(driver.records) == 3


def test_a_candidate_proposed_twice_is_measured_once() -> None:
    driver = Driver(Machine("m", [task(1, budget=4)], batch=2))
    driver.until(Propose)
    driver.handle(Proposed(1, (candidate(5), candidate(5))))
    driver.until(Propose)
    driver.handle(Proposed(1, (candidate(5), candidate(6))))
    driver.run()
    assert max(Counter(hashes(driver.records)).values()) == 1
    assert len(driver.records) == 4


def test_failed_trials_count_toward_the_budget_and_carry_how_they_failed() -> None:
    driver = Driver(Machine("m", [task(1, budget=2)]))
    first = driver.until(Build)
    failure = Measurement(TrialState.BUILD_TIMEOUT, message="killed after 30 s")
    driver.handle(Built(first.token, 30.0, failure))  # type: ignore[union-attr]
    driver.run()
    assert len(driver.records) == 2
    assert driver.records[0].measurement == failure
    assert driver.records[0].build_s == 30.0
    learnt = next(a for a in driver.actions if isinstance(a, Learn))
    assert learnt.records[0].state is TrialState.BUILD_TIMEOUT
    assert learnt.records[0].times == ()


# -- losses


def test_a_late_report_of_an_unknown_token_changes_nothing() -> None:
    driver = Driver(Machine("m", [task(1, budget=2)]))
    driver.until(Build)
    before = driver.machine.in_flight
    driver.handle(
        Measured("someone-else-1", good(0.1)),
        Built("someone-else-2", 0.1),
        Failed(1, "late", lost=True, token="someone-else-3"),
    )
    assert driver.machine.in_flight == before
    assert driver.machine.measurable == 0
    assert driver.records == []


def test_a_report_that_comes_twice_counts_once() -> None:
    driver = Driver(Machine("m", [task(1, budget=2)]))
    measure = driver.until(Measure)
    driver.handle(Measured(measure.token, good(1.0)), Measured(measure.token, good(9.0)))  # type: ignore[union-attr]
    assert [record.measurement for record in driver.records] == [good(1.0)]


@pytest.mark.parametrize("how", ["worker", "device"])
def test_a_lost_candidate_is_given_out_again_under_another_token(how: str) -> None:
    driver = Driver(Machine("m", [task(1, budget=1)]))
    first = driver.until(Measure)
    assert isinstance(first, Measure)
    if how == "worker":
        driver.handle(Failed(1, "the worker died", lost=True, token=first.token))
    else:
        driver.handle(Measured(first.token, lost()))
    assert driver.records == []
    again = driver.until(Measure)
    assert isinstance(again, Measure)
    assert again.candidate == first.candidate
    assert again.token != first.token
    # The worker that was thought dead reports after all.
    driver.handle(Measured(first.token, good(0.001)))
    assert driver.records == []
    driver.handle(Measured(again.token, good(1.0)))
    assert [record.measurement for record in driver.records] == [good(1.0)]


def test_a_candidate_that_is_lost_every_time_is_recorded_as_such() -> None:
    driver = Driver(Machine("m", [task(1, budget=1)]))
    for attempt in range(MAX_ATTEMPTS):
        assert driver.records == []
        measure = driver.until(Measure)
        driver.handle(Failed(1, f"died {attempt}", lost=True, token=measure.token))  # type: ignore[union-attr]
    driver.run()
    (record,) = driver.records
    assert record.measurement.state is TrialState.DEVICE_LOST
    assert record.measurement.message == f"died {MAX_ATTEMPTS - 1}"
    assert driver.ends[1].state == "satisfied"


def test_a_candidate_whose_node_is_gone_time_and_again_is_given_out_until_it_has_a_result() -> None:
    driver = Driver(Machine("m", [task(1, budget=1)]))
    for _ in range(MAX_MOVES):
        measure = driver.until(Measure)
        assert isinstance(measure, Measure)
        driver.handle(Failed(1, "its node is gone", lost=True, token=measure.token, moved=True))
    driver.run()
    (record,) = driver.records
    assert record.measurement.state is TrialState.OK


def test_a_candidate_whose_node_is_always_gone_ends_some_day() -> None:
    driver = Driver(Machine("m", [task(1, budget=1)]))
    while not driver.records:
        measure = driver.until(Measure)
        assert isinstance(measure, Measure)
        driver.handle(Failed(1, "its node is gone", lost=True, token=measure.token, moved=True))
    (record,) = driver.records
    assert record.measurement.state is TrialState.DEVICE_LOST


def test_a_search_whose_node_is_gone_now_and_then_goes_on() -> None:
    driver = Driver(Machine("m", [task(1, budget=4)]))
    for _ in range(2 * MAX_ATTEMPTS):
        driver.until(Propose)
        driver.handle(Failed(1, "its node is gone", lost=True, moved=True))
    driver.run()
    assert driver.ends[1].state == "satisfied"


def test_a_lost_search_is_opened_anew_and_its_task_goes_on() -> None:
    driver = Driver(Machine("m", [task(1, budget=4)]))
    driver.until(Propose)
    driver.handle(Failed(1, "the searcher died", lost=True))
    driver.run()
    assert driver.ends[1].state == "satisfied"
    assert [type(a) for a in driver.actions if isinstance(a, OpenSearch | CloseSearch)] == [
        OpenSearch,
        CloseSearch,
        OpenSearch,
        CloseSearch,
    ]


def test_a_search_that_is_lost_while_it_opens_is_closed_for_its_process_may_live() -> None:
    driver = Driver(Machine("m", [task(1)]))
    driver.until(OpenSearch)
    driver.handle(Failed(1, "its history did not arrive", lost=True))
    assert driver.actions[-1] == CloseSearch(1)


def test_a_search_lost_while_learning_does_not_lose_what_was_measured() -> None:
    driver = Driver(Machine("m", [task(1, budget=4)], batch=2))
    driver.until(Learn)
    driver.handle(Failed(1, "the searcher died", lost=True))
    driver.run()
    assert len(driver.records) == 4
    assert driver.ends[1].state == "satisfied"


def test_a_search_that_is_lost_time_and_again_ends_its_task_alone() -> None:
    driver = Driver(Machine("m", [task(1), task(2, budget=2)]))
    machine = driver.machine
    losses = 0
    while 1 not in driver.ends:
        action = driver.next()
        assert action is not None
        if action.task == 1:
            losses += 1
            driver.handle(Failed(1, "the searcher died", lost=True))
        else:
            driver.handle(driver.answer(action))
    assert losses == MAX_ATTEMPTS
    driver.run()
    assert driver.ends[1] == EndTask(1, TaskState.FAILED, "the searcher died")
    assert driver.ends[2].state == "satisfied"
    assert machine.done


def test_a_search_that_refuses_its_task_ends_it_at_once() -> None:
    driver = Driver(Machine("m", [task(1)]))
    driver.until(OpenSearch)
    driver.handle(Failed(1, "no schedule rule fits", lost=False))
    assert driver.ends[1] == EndTask(1, TaskState.FAILED, "no schedule rule fits")
    assert driver.machine.done


def test_losses_apart_do_not_add_up() -> None:
    driver = Driver(Machine("m", [task(1, budget=20)], batch=2))
    for _ in range(2 * MAX_ATTEMPTS):
        driver.until(Propose)
        driver.handle(Failed(1, "the searcher died", lost=True))
        driver.until(Learn)
        driver.handle(Learned(1))
    driver.run()
    assert driver.ends[1].state == "satisfied"


# -- endings


def test_a_plateau_ends_a_task_that_brings_nothing_better() -> None:
    driver = Driver(Machine("m", [task(1, budget=100)], batch=5, plateau=10))
    driver.run()
    assert driver.ends[1].state == "plateaued"
    # The first is the best; ten more, by whole rounds: 4, 5, 5.
    assert len(driver.records) == 14


def test_a_gain_starts_the_plateau_anew() -> None:
    driver = Driver(Machine("m", [task(1, budget=12)], batch=1, plateau=4))
    seconds = iter([9.0, 9.0, 9.0, 9.0, 5.0, 5.0, 5.0, 5.0, 5.0])
    while (action := driver.next()) is not None:
        if isinstance(action, Measure):
            driver.handle(Measured(action.token, good(next(seconds))))
        else:
            driver.handle(driver.answer(action))
    assert driver.ends[1].state == "plateaued"
    assert len(driver.records) == 9


def test_a_task_that_was_on_its_plateau_already_ends_at_once() -> None:
    machine = Machine("m", [task(1, budget=100, stored=30, since_best=12, best_s=1.0)], plateau=10)
    assert machine.done


def test_a_space_that_is_used_up_ends_its_task() -> None:
    driver = Driver(Machine("m", [task(1, budget=50)], batch=8), spaces={1: 11})
    driver.run()
    assert driver.ends[1] == EndTask(1, TaskState.EXHAUSTED, "its space was used up after 11 trials")
    assert len(driver.records) == 11


# -- stopping


def test_stopping_proposes_nothing_more_and_waits_for_what_is_measured() -> None:
    driver = Driver(Machine("m", [task(1, budget=8), task(2, budget=8)]))
    measure = driver.until(Measure)
    driver.machine.stop()
    assert driver.next() is None
    assert not driver.machine.done
    driver.handle(Measured(measure.token, good()))  # type: ignore[union-attr]
    assert len(driver.records) == 1
    assert driver.machine.done
    assert driver.ends == {}


def test_what_is_built_or_lost_after_a_stop_is_dropped() -> None:
    driver = Driver(Machine("m", [task(1, budget=2)]))
    first = driver.until(Build)
    second = driver.next()
    driver.machine.stop()
    driver.handle(Built(first.token, 0.1))  # type: ignore[union-attr]
    driver.handle(Failed(1, "died", lost=True, token=second.token))  # type: ignore[union-attr]
    assert driver.machine.done
    assert driver.records == []


@pytest.mark.parametrize("kind", [OpenSearch, Propose, Learn])
def test_stopping_in_any_stage_of_a_search_comes_to_an_end(kind: type) -> None:
    driver = Driver(Machine("m", [task(1, budget=8)]))
    action = driver.until(kind)
    driver.machine.stop()
    driver.handle(driver.answer(action))
    assert driver.next() is None
    assert driver.machine.done


# -- which task next


def test_untried_tasks_come_first_the_heaviest_before_the_others() -> None:
    machine = Machine(
        "m",
        [
            task(1, stored=4, best_s=10.0, weight=100),
            task(2, flops=1e6),
            task(3, flops=1e9),
            task(4, flops=1e8, weight=100),
        ],
    )
    order = [machine.next_compute().task for _ in range(4)]  # type: ignore[union-attr]
    assert order == [4, 3, 2, 1]


def test_a_dear_task_does_not_wait_for_the_first_round_of_all_that_take_next_to_nothing() -> None:
    tasks = [
        # What the second reaches an operation, the first could: 41 ms against 12.
        task(1, stored=4, kind="conv2d_relu", flops=1.6e9, best_s=41e-3),
        task(2, stored=4, kind="conv2d_add", flops=24e6, best_s=0.1e-3),
        # As yet untried: 2.5 times as long as it can take, for each of its calls; what is no sum of products
        # may save a millisecond.
        task(3, kind="matmul", flops=6e6, weight=9),
        task(4, kind="conv2d_add", flops=1e9),
        task(5, kind="softmax", flops=0.1e6),
        task(6, kind="reshape", flops=0.0),
    ]
    machine = Machine("m", tasks)
    order = [machine.next_compute().task for _ in range(6)]  # type: ignore[union-attr]
    assert order == [4, 1, 5, 6, 3, 2]


def test_an_untried_task_is_judged_by_what_it_takes_in_the_models_first_library() -> None:
    tasks = [
        # By what the product reaches, half of its millisecond may be saved; of the next one's four all.
        task(1, kind="conv2d", flops=30e6, inside_s=1e-3),
        task(2, kind="conv2d", flops=1e6, inside_s=4e-3),
        task(3, kind="softmax", flops=1e3, inside_s=1e-3, weight=3),
        task(4, stored=4, kind="matmul", flops=1e9, best_s=10e-3),
    ]
    machine = Machine("m", tasks)
    order = [machine.next_compute().task for _ in range(4)]  # type: ignore[union-attr]
    assert order == [2, 3, 1, 4]


def test_among_tried_tasks_the_time_at_stake_per_trial_decides() -> None:
    machine = Machine(
        "m",
        [
            task(1, 64, stored=32, best_s=1e-3, weight=1),
            task(2, 64, stored=32, best_s=1e-3, weight=5),
            task(3, 64, stored=1, best_s=1e-3, weight=1),
        ],
    )
    order = [machine.next_compute().task for _ in range(3)]  # type: ignore[union-attr]
    assert order == [3, 2, 1]


def test_a_task_that_is_as_fast_as_its_like_has_less_to_gain() -> None:
    def first(kind: str = "") -> Action | None:
        tasks = [
            task(1, stored=4, flops=10e6, best_s=10.0, kind=kind),
            task(2, stored=4, flops=1e6, best_s=8.0, kind=kind),
        ]
        return Machine("m", tasks).next_compute()

    assert first() == OpenSearch(1)
    # A tenth of the arithmetic in nearly the same time: as fast as its like it takes a second.
    assert first(kind="conv2d") == OpenSearch(2)


@pytest.mark.parametrize(("device_class", "next_one"), [("cpu", 1), ("other", 2)])
def test_what_a_task_can_reach_is_learned_from_trials_on_its_own_kind_of_device(
    device_class: str, next_one: int
) -> None:
    machine = Machine(
        "m",
        [
            task(1, stored=4, kind="conv2d", flops=10e6, best_s=10.0),
            task(2, stored=4, best_s=5.0),
            task(3, 5, stored=4, kind="conv2d", flops=100e6, best_s=100.0, device_class=device_class),
        ],
    )
    # The third has most to gain; its last trial shows that the first could take a hundredth of its time.
    assert machine.next_compute() == OpenSearch(3)
    machine.handle(Opened(3))
    machine.next_compute()
    machine.handle(Proposed(3, (candidate(1),)))
    build = machine.next_compute()
    assert isinstance(build, Build)
    machine.handle(Built(build.token, 0.0))
    assert machine.next_measure(device_class) is not None
    machine.handle(Measured(build.token, good(1.0)))
    machine.next_compute()
    machine.handle(Learned(3))
    assert machine.next_compute() == OpenSearch(next_one)


def test_no_more_searches_are_open_than_allowed_and_the_one_used_longest_ago_is_closed() -> None:
    tasks = [task(n, budget=4, best_s=math.inf, flops=1e6 / n) for n in range(1, 6)]
    driver = Driver(Machine("m", tasks, batch=2, max_open=2))
    driver.run()
    assert driver.most_open <= 2
    assert all(end.state == "satisfied" for end in driver.ends.values())
    assert len(driver.records) == 20


def test_the_search_closed_to_make_room_is_the_one_used_longest_ago() -> None:
    tasks = [task(n, stored=1, best_s=4.0 - n) for n in (1, 2, 3)]
    driver = Driver(Machine("m", tasks, batch=1, max_open=2))
    searching = []
    for _ in range(2):
        opening = driver.next()
        assert isinstance(opening, OpenSearch)
        driver.handle(driver.answer(opening))
        searching.append(driver.next())
    assert searching == [Propose(1, 1), Propose(2, 1)]
    for proposing in searching:
        driver.handle(driver.answer(proposing))  # type: ignore[arg-type]
        build = driver.next()
        driver.handle(driver.answer(build))  # type: ignore[arg-type]
        measure = driver.machine.next_measure("cpu")
        assert measure is not None
        # So fast that nothing is to be won there any more.
        driver.handle(Measured(measure.token, good(1e-9)))
        learn = driver.next()
        assert isinstance(learn, Learn)
        driver.handle(driver.answer(learn))
    assert driver.next() == OpenSearch(3)
    closed = [action.task for action in driver.actions if isinstance(action, CloseSearch)]
    assert closed == [1]


def test_nothing_is_opened_while_all_open_searches_are_busy() -> None:
    driver = Driver(Machine("m", [task(1), task(2)], max_open=1))
    driver.until(Propose)
    assert driver.next() is None
    driver.handle(Proposed(1, (candidate(1),)))
    driver.run()
    assert {end.state for end in driver.ends.values()} == {"satisfied"}
    assert driver.most_open == 1


# -- at random


@pytest.mark.parametrize("seed", range(60))
def test_whatever_fails_the_budgets_are_kept_and_nothing_is_recorded_twice(seed: int) -> None:
    budgets = {1: 5, 2: 40, 3: 17, 4: 1, 5: 30}
    stored = {1: 0, 2: 7, 3: 16, 4: 0, 5: 0}
    spaces = {5: 12}
    machine = Machine(
        f"m{seed}",
        [task(n, budget, stored=stored[n]) for n, budget in budgets.items()],
        batch=1 + seed % 9,
        max_open=1 + seed % 3,
    )
    driver = Unreliable(machine, seed, spaces)
    driver.run()
    assert max(Counter(hashes(driver.records)).values()) == 1
    assert set(driver.ends) == set(budgets)
    for number, budget in budgets.items():
        state, count = driver.ends[number].state, len(driver.recorded(number))
        if state == "satisfied":
            assert count == budget - stored[number]
        else:
            # A searcher may die three times in a row, or a space end.
            assert state in ("failed", "exhausted")
            assert count < budget - stored[number]
        if number in spaces:
            assert count <= spaces[number]
    assert machine.in_flight == 0
    assert machine.measurable == 0


@pytest.mark.parametrize("seed", range(20))
def test_whenever_it_is_stopped_it_comes_to_rest(seed: int) -> None:
    machine = Machine("m", [task(n, 30) for n in range(1, 6)], batch=1 + seed % 7)
    driver = Unreliable(machine, seed)
    steps = driver.random.randint(1, 120)
    for _ in range(steps):
        driver._give_out()
        action = driver.under_way.pop(driver.random.randrange(len(driver.under_way)))
        driver.handle(driver._outcome(action))
    machine.stop()
    recorded = len(driver.records)
    measuring = sum(isinstance(action, Measure) for action in driver.under_way)
    driver.run()
    assert driver.under_way == []
    assert len(driver.records) <= recorded + measuring + sum(isinstance(a, Build) for a in driver.actions)
