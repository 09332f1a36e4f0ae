"""Two layouts that are close: what is planned for them, and what a budget allows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.campaigns.planning.budgets import WantedTask, plan_tasks
from orchestrator.campaigns.planning.plan import CampaignPlan, make_plan
from orchestrator.campaigns.planning.tryouts import TRIED, Tryout
from orchestrator.storage import Storage, TaskStanding
from tests.kit.close_layouts import BLOCKED, BUDGET, NHWC, CloseToolbox, spec
from tests.kit.planned_campaigns import CPU, workload
from workers.messages import DeviceInfo, Extraction, PreparedModel

OTHER = DeviceInfo("llvm -mcpu=other", "cpu-b-2", "Other CPU", 2, "cpu")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(str(tmp_path / "records.db")) as opened:
        yield opened


def planned(store: Storage, tools: CloseToolbox | None = None, **changes: Any) -> CampaignPlan:
    return make_plan(store, tools or CloseToolbox(), spec(**changes))


def tryout(store: Storage, tools: CloseToolbox | None = None, **changes: Any) -> Tryout:
    (found,) = planned(store, tools, **changes).tryouts
    return found


def tasks(plan: CampaignPlan) -> dict[str, tuple[int, int, int]]:
    return {one.task.name: (one.task.weight, one.budget, one.cap) for one in plan.tasks}


def seconds(**times: float) -> dict[str, float]:
    return {workload(int(name.removeprefix("task"))).hash: time for name, time in times.items()}


def test_a_model_is_taken_apart_in_both_layouts_and_what_they_share_is_one_task(store: Storage) -> None:
    tools = CloseToolbox()
    plan = planned(store, tools)
    assert tools.extracted == ["auto", "nhwc"]
    assert tasks(plan) == {
        # Called in either layout, however often.
        "task1": (1, BUDGET, 0),
        "task2": (3, BUDGET, 0),
        "task3": (1, BUDGET, TRIED),
        "task4": (2, BUDGET, TRIED),
        # Nobody calls these yet.
        "task5": (0, TRIED, TRIED),
        "task6": (0, TRIED, TRIED),
    }
    assert [one.layouts for one in plan.undecided] == [("blocked", "nhwc")]
    assert plan.remarks == ()
    planned(store, tools)
    assert tools.extracted == ["auto", "nhwc"]


def test_a_layout_by_name_is_tried_out_against_nothing(store: Storage) -> None:
    tools = CloseToolbox()
    plan = planned(store, tools, layout="blocked")
    assert (plan.tryouts, plan.remarks, tools.extracted) == ((), (), ["blocked"])
    assert list(tasks(plan)) == [f"task{n}" for n in BLOCKED]


def test_where_both_have_the_same_kernels_there_is_nothing_to_try(store: Storage) -> None:
    plan = planned(store, CloseToolbox(BLOCKED, BLOCKED))
    assert (plan.tryouts, plan.remarks) == ((), ())


def test_a_layout_that_cannot_be_had_leaves_the_first_and_says_why(store: Storage) -> None:
    tools = CloseToolbox()
    tools.refusal = "TVM can't lower it\nat line 3"
    plan = planned(store, tools)
    assert list(tasks(plan)) == [f"task{n}" for n in BLOCKED]
    assert plan.remarks == ("model: the layout nhwc was not tried out: /model.onnx: TVM can't lower it",)


def test_the_faster_of_both_is_chosen_by_the_tasks_in_which_they_differ(store: Storage) -> None:
    found = tryout(store)
    assert found.needed == {workload(n).hash for n in (2, 3, 4, 5, 6)}
    times = seconds(task2=0.5, task3=4.0, task4=1.0, task5=3.0, task6=1.0)
    verdict = found.verdict(times, "")
    assert (verdict.chosen, verdict.other) == ("nhwc", "blocked")
    assert [verdict.chosen_s, verdict.other_s] == pytest.approx([6.0, 7.5])
    assert verdict.reason == (
        "tried out against blocked, 5 trials of each task: where they differ, it takes 6e+03 ms and blocked "
        "7.5e+03 ms"
    )
    assert (verdict.model_id, verdict.device_class) == (found.first.id, CPU.device_class)
    assert verdict.engine_version == CloseToolbox().engine_version()
    times |= seconds(task3=1.0)
    assert found.verdict(times, "").chosen == "blocked"


def test_of_two_that_take_the_same_the_first_stays(store: Storage) -> None:
    times = seconds(task2=1.0, task3=1.0, task4=1.0, task5=2.0, task6=1.0)
    assert tryout(store).verdict(times, "").chosen == "blocked"


def test_without_a_time_of_each_task_the_estimate_holds(store: Storage) -> None:
    times = seconds(task2=1.0, task3=1.0, task4=1.0, task5=0.001)
    verdict = tryout(store).verdict(times, "no trial of task6 in nhwc succeeded")
    assert (verdict.chosen, verdict.other, verdict.chosen_s, verdict.other_s) == (
        "blocked",
        "nhwc",
        None,
        None,
    )
    assert verdict.reason == ("by its estimate, and not against nhwc: no trial of task6 in nhwc succeeded")


# -- budgets


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        # Each has two tasks of its own, of five trials each.
        ({"trials": 50}, ""),
        ({"trials": 49}, "10 trials of the one that loses are more than a fifth of 49"),
        ({"trials_per_task": 13}, ""),
        ({"trials_per_task": 12}, "10 trials of the one that loses are more than a fifth of 48"),
        ({"trials": 400, "trials_per_task": 12}, "more than a fifth of 48"),
        ({"trials_per_task": 4}, "that takes 5 trials of each task in which they differ"),
        # With the one that both call, not as often, these are five.
        ({"time_s": 125.0}, ""),
        ({"time_s": 124.0}, "that takes about 25 s, more than a fifth of the time"),
        ({"time_s": 124.0, "trials": 75}, "that takes about 25 s"),
        ({}, ""),
        ({"tasks": "task"}, "only some of the tasks are tuned"),
    ],
)
def test_what_a_budget_has_no_room_for_is_left_out_and_said(
    store: Storage, budget: dict[str, Any], told: str
) -> None:
    plan = planned(store, **{"trials_per_task": None, **budget})
    assert bool(plan.undecided) == (not told)
    if not told:
        assert plan.remarks == ()
        return
    (remark,) = plan.remarks
    assert told in remark
    assert remark.startswith("model: the layouts blocked and nhwc are close by their estimates, and were not")
    assert remark.endswith("; blocked it is")
    assert list(tasks(plan)) == [f"task{n}" for n in BLOCKED]


def test_a_model_that_takes_long_to_import_is_not_imported_twice_in_a_limited_time(store: Storage) -> None:
    class Slow(CloseToolbox):
        def extract(self, model: PreparedModel, target: str) -> Extraction:
            time.sleep(0.1)
            return super().extract(model, target)

    tools = Slow()
    plan = planned(store, tools, trials_per_task=None, time_s=3.9)
    assert (plan.undecided, tools.extracted) == ((), ["auto"])
    (remark,) = plan.remarks
    assert remark.startswith(
        "model: the layout nhwc was not tried out: taking the model apart once more takes"
    )


def test_a_number_of_trials_holds_with_what_the_loser_gets(store: Storage) -> None:
    plan = planned(store, trials=100, trials_per_task=None)
    # What both call leaves room for a smaller share, should the other one win.
    assert {one.task.name: (one.tried, one.cap) for one in plan.tasks} == {
        **{one.task.name: (0, one.budget // 2) for one in plan.tasks if one.task.name == "task1"},
        **{one.task.name: (TRIED, one.budget // 2) for one in plan.tasks if one.task.name == "task2"},
        **{f"task{n}": (TRIED, TRIED) for n in (3, 4, 5, 6)},
    }
    held = {name: budget for name, (weight, budget, _) in tasks(plan).items() if weight}
    assert sum(held.values()) == 100 - 10
    assert min(held[name] for name in ("task2", "task3", "task4")) >= TRIED
    key = plan.undecided[0].key
    for layout in ("blocked", "nhwc"):
        after = plan.as_decided(key, layout, spec(trials=100, trials_per_task=None))
        assert sum(budget for _, budget, _ in tasks(after).values()) == 100 - 10
        assert {(one.tried, one.cap) for one in after.tasks} == {(0, 0)}
        names = BLOCKED if layout == "blocked" else NHWC
        assert {name: weight for name, (weight, _, _) in tasks(after).items()} == {
            f"task{n}": calls for n, calls in names.items()
        }
        assert [model.prepared.layout for model in after.models] == [layout]
        assert after.undecided == ()


def test_trials_that_are_stored_count_and_tasks_in_doubt_stay_open(store: Storage) -> None:
    plan = planned(store)
    assert plan.missing == 4 * BUDGET + 2 * TRIED
    extra = plan.tasks[-1]
    assert (extra.task.name, extra.satisfied, extra.missing) == ("task6", "", TRIED)


def test_what_one_model_calls_in_any_case_is_in_no_doubt(store: Storage) -> None:
    # On the other device nothing is close, so its tasks are its own affair.
    models = [{"path": "/model.onnx"}, {"path": "/other.onnx"}]
    both = planned(store, models=models)
    assert [one.name for one in both.undecided] == ["model", "other"]
    assert {name: cap for name, (_, _, cap) in tasks(both).items()} == {
        **{f"task{n}": 0 for n in (1, 2)},
        **{f"task{n}": TRIED for n in (3, 4, 5, 6)},
    }
    first, second = both.undecided
    asked = spec(models=models)
    one = both.as_decided(first.key, "blocked", asked)
    # The first model has these for good; the other one may still get either.
    assert {name: (weight, cap) for name, (weight, _, cap) in tasks(one).items()} == {
        "task1": (2, 0),
        "task2": (6, 0),
        "task3": (2, 0),
        "task4": (4, 0),
        "task5": (0, TRIED),
        "task6": (0, TRIED),
    }
    mixed = one.as_decided(second.key, "nhwc", asked)
    assert {name: (weight, cap) for name, (weight, _, cap) in tasks(mixed).items()} == {
        "task1": (2, 0),
        "task2": (5, 0),
        "task3": (1, 0),
        "task4": (2, 0),
        "task5": (1, 0),
        "task6": (2, 0),
    }


def test_each_device_decides_for_itself(store: Storage) -> None:
    tools = CloseToolbox(devices=(CPU, OTHER))
    plan = planned(store, tools, targets=[CPU.target, OTHER.target])
    assert [one.key[1] for one in plan.undecided] == [CPU.device_class, OTHER.device_class]
    after = plan.as_decided(plan.undecided[1].key, "nhwc", spec(targets=[CPU.target, OTHER.target]))
    assert [(m.device.device_class, m.prepared.layout) for m in after.models] == [
        (CPU.device_class, "blocked"),
        (OTHER.device_class, "nhwc"),
    ]
    assert [one.key[1] for one in after.undecided] == [CPU.device_class]


@pytest.mark.parametrize("least", [[0, 0, 30], [20, 20, 20], [1, 1, 1], []])
def test_who_gets_less_than_its_least_gets_that_and_the_sum_holds(least: list[int]) -> None:
    wanted = [WantedTask(str(n), "cpu", str(n), 1, flops) for n, flops in enumerate((1e10, 1e8, 1e2))]
    budgets = [
        one.budget
        for one in plan_tasks(
            wanted,
            [TaskStanding()] * 3,
            trials=60,
            trials_per_task=None,
            plateau=None,
            least=least,
        )
    ]
    assert sum(budgets) == 60
    assert all(budget >= amount for budget, amount in zip(budgets, least or [0] * 3, strict=True))
