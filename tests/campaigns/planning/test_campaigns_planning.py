"""How a budget is split over tasks, and which tasks need nothing."""

from __future__ import annotations

import random
from typing import Any

import pytest

from orchestrator.campaigns.planning.budgets import PlannedTask, WantedTask, plan_tasks
from orchestrator.campaigns.spec import DEFAULT_TRIALS_PER_TASK
from orchestrator.storage import TaskStanding


def wanted(number: int, flops: float = 1e6, weight: int = 1) -> WantedTask:
    return WantedTask(f"workload-{number}", "cpu", f"task{number}", weight, flops)


def planned(
    tasks: list[WantedTask], standings: list[TaskStanding] | None = None, **budget: Any
) -> list[PlannedTask]:
    limits: dict[str, Any] = {"trials": None, "trials_per_task": None, "plateau": None, **budget}
    return plan_tasks(tasks, standings or [TaskStanding()] * len(tasks), **limits)


@pytest.mark.parametrize("seed", range(50))
def test_the_shares_of_a_budget_add_up_to_it(seed: int) -> None:
    chance = random.Random(seed)
    tasks = [
        wanted(n, chance.choice([0.0, 10 ** chance.uniform(2, 11)]), chance.randint(1, 30))
        for n in range(chance.randint(1, 60))
    ]
    trials = chance.randint(1, 3000)
    assert sum(p.budget for p in planned(tasks, trials=trials)) == trials


@pytest.mark.parametrize("seed", range(20))
def test_no_task_gets_more_than_the_limit_per_task_and_none_is_wasted_below_it(seed: int) -> None:
    chance = random.Random(seed)
    tasks = [wanted(n, 10 ** chance.uniform(2, 11)) for n in range(chance.randint(1, 30))]
    trials, most = chance.randint(1, 2000), chance.randint(1, 64)
    budgets = [p.budget for p in planned(tasks, trials=trials, trials_per_task=most)]
    assert max(budgets) <= most
    assert sum(budgets) == min(trials, most * len(tasks))


def test_more_arithmetic_gets_more_trials_and_little_gets_some() -> None:
    small, large = planned([wanted(1, 1e4), wanted(2, 1e9)], trials=100)
    assert large.budget > small.budget > 0


def test_equal_tasks_differ_by_one_trial_at_most() -> None:
    budgets = [p.budget for p in planned([wanted(n) for n in range(7)], trials=100)]
    assert max(budgets) - min(budgets) <= 1


def test_fewer_trials_than_tasks_go_to_the_largest() -> None:
    plans = planned([wanted(1, 1e4), wanted(2, 1e8), wanted(3, 1e8)], trials=2)
    assert [p.budget for p in plans] == [0, 1, 1]


@pytest.mark.parametrize("trials", [20, 21, 40])
def test_as_many_trials_as_tasks_leave_none_without_one(trials: int) -> None:
    tasks = [wanted(1, 1e11), *(wanted(n, 1e4) for n in range(2, 21))]
    budgets = [p.budget for p in planned(tasks, trials=trials)]
    assert min(budgets) == 1
    assert budgets[0] == trials - 19
    assert 0 in [p.budget for p in planned(tasks, trials=19)]


def test_without_any_budget_each_task_gets_the_default() -> None:
    assert [p.budget for p in planned([wanted(1), wanted(2)])] == [DEFAULT_TRIALS_PER_TASK] * 2


def test_a_time_limit_alone_leaves_the_number_of_trials_open() -> None:
    (plan,) = planned([wanted(1)], timed=True)
    assert plan.budget > 10**6


def test_stored_trials_count_toward_the_budget() -> None:
    (plan,) = planned([wanted(1)], [TaskStanding(stored=30)], trials_per_task=50)
    assert (plan.budget, plan.missing, plan.satisfied) == (50, 20, "")


def test_the_same_request_twice_asks_for_nothing_the_second_time() -> None:
    tasks = [wanted(n, 10.0**n) for n in range(2, 9)]
    first = planned(tasks, trials=123)
    standings = [TaskStanding(stored=p.budget) for p in first]
    second = planned(tasks, standings, trials=123)
    assert [p.budget for p in second] == [p.budget for p in first]
    assert all(p.satisfied and p.missing == 0 for p in second)


def test_a_second_model_gets_its_own_tasks_their_full_share_whatever_is_stored_of_shared_ones() -> None:
    tasks = [wanted(n) for n in range(4)]
    fresh = planned(tasks, trials=80)
    shared = planned(tasks, [TaskStanding(stored=500), *[TaskStanding()] * 3], trials=80)
    assert [p.budget for p in shared] == [p.budget for p in fresh]
    assert [p.missing for p in shared] == [0, 20, 20, 20]


def test_a_task_whose_space_was_used_up_needs_nothing() -> None:
    (plan,) = planned([wanted(1)], [TaskStanding(stored=3, exhausted=True)], trials=64)
    assert plan.missing == 0
    assert plan.satisfied == "its space was used up after 3 trials"


def test_a_task_on_its_plateau_needs_nothing_where_a_plateau_was_asked_for() -> None:
    standing = [TaskStanding(stored=40, since_best=25)]
    assert planned([wanted(1)], standing, trials=64, plateau=25)[0].missing == 0
    assert planned([wanted(1)], standing, trials=64, plateau=26)[0].missing == 24
    assert planned([wanted(1)], standing, trials=64)[0].missing == 24


def test_a_task_without_any_trial_is_on_no_plateau() -> None:
    assert planned([wanted(1)], trials=64, plateau=1)[0].missing == 64
