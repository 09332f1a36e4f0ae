"""Decisions between two layouts: under the lease, whole or not at all, and once for all who come after."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace

import pytest

from orchestrator.errors import LeaseLostError, NotFoundError
from orchestrator.storage import (
    LayoutDecisionRow,
    NewLayoutDecision,
    Storage,
    TaskChange,
    TaskState,
)
from tests.kit.storage_builders import CPU, GPU, campaign, failed, ok, stock, task, workload
from workers.messages import Extraction, TaskSpec

LONG_S = 600.0
FORK = multiprocessing.get_context("fork")


def decision(model_id: int, chosen: str = "nhwc", **changes: object) -> NewLayoutDecision:
    other = "blocked" if chosen == "nhwc" else "nhwc"
    made = NewLayoutDecision(model_id, CPU.device_class, "0.27.0", chosen, other, 1.5, 2.0, "it is faster")
    return replace(made, **changes)  # type: ignore[arg-type]


def begun(storage: Storage, owner: str = "me") -> tuple[int, dict[str, list[TaskChange]]]:
    """Store a campaign with a task of blocks and one of NHWC, and what becomes of them."""
    campaign_id = campaign(storage, owner=owner, ttl_s=LONG_S)
    storage.tasks.put(campaign_id, [task(0, budget=64), task(1, budget=5)], owner=owner)
    blocked, nhwc = (row.id for row in storage.tasks.of_campaign(campaign_id))
    return campaign_id, {
        "blocked": [TaskChange(blocked, 3, 59), TaskChange(nhwc, 0, 5, "not chosen")],
        "nhwc": [TaskChange(blocked, 0, 64, "not chosen"), TaskChange(nhwc, 2, 59)],
    }


def tasks(storage: Storage, campaign_id: int) -> list[tuple[int, int, TaskState, str]]:
    rows = storage.tasks.of_campaign(campaign_id)
    return [(row.weight, row.budget, row.state, row.note) for row in rows]


def test_a_decision_changes_the_tasks_of_its_campaign_and_is_found(storage: Storage) -> None:
    model_id = stock(storage, 0, 1)
    campaign_id, changes = begun(storage)
    assert storage.layouts.decided(model_id, CPU.device_class, "0.27.0") is None
    row = storage.layouts.decide(campaign_id, decision(model_id), changes, owner="me")
    assert (row.campaign_id, row.chosen, row.other, row.chosen_s, row.other_s, row.reason) == (
        campaign_id,
        "nhwc",
        "blocked",
        1.5,
        2.0,
        "it is faster",
    )
    assert tasks(storage, campaign_id) == [
        (0, 64, TaskState.SATISFIED, "not chosen"),
        (2, 59, TaskState.OPEN, ""),
    ]
    assert storage.layouts.decided(model_id, CPU.device_class, "0.27.0") == row
    assert storage.layouts.of_campaign(campaign_id) == [row]
    # Elsewhere, and by an engine with other kernels, it says nothing.
    assert storage.layouts.decided(model_id, GPU.device_class, "0.27.0") is None
    assert storage.layouts.decided(model_id, CPU.device_class, "0.28.0") is None


def test_a_task_that_is_over_stays_over_and_counts_the_calls_of_now(storage: Storage) -> None:
    model_id = stock(storage, 0, 1)
    campaign_id, changes = begun(storage)
    blocked, _ = storage.tasks.of_campaign(campaign_id)
    storage.tasks.update(blocked.id, state=TaskState.EXHAUSTED, note="used up")
    storage.layouts.decide(campaign_id, decision(model_id), changes, owner="me")
    assert tasks(storage, campaign_id)[0] == (0, 64, TaskState.EXHAUSTED, "used up")


def test_a_campaign_decides_once(storage: Storage) -> None:
    model_id = stock(storage, 0, 1)
    campaign_id, changes = begun(storage)
    first = storage.layouts.decide(campaign_id, decision(model_id), changes, owner="me")
    again = storage.layouts.decide(campaign_id, decision(model_id, "blocked"), changes, owner="me")
    assert again == first
    assert len(storage.layouts.of_campaign(campaign_id)) == 1
    assert tasks(storage, campaign_id)[1] == (2, 59, TaskState.OPEN, "")


def test_the_first_decision_with_times_holds_for_other_campaigns(storage: Storage) -> None:
    model_id = stock(storage, 0, 1)
    unsure, changes = begun(storage)
    untold = decision(model_id, "blocked", chosen_s=None, other_s=None)
    assert storage.layouts.decide(unsure, untold, changes, owner="me").chosen == "blocked"
    # That one could not tell, and says nothing to others.
    assert storage.layouts.decided(model_id, CPU.device_class, "0.27.0") is None
    sure, changes = begun(storage)
    first = storage.layouts.decide(sure, decision(model_id), changes, owner="me")
    late, changes = begun(storage)
    followed = storage.layouts.decide(late, decision(model_id, "blocked"), changes, owner="me")
    assert (followed.chosen, followed.chosen_s, followed.other_s) == ("nhwc", 1.5, 2.0)
    assert (followed.campaign_id, followed.id > first.id) == (late, True)
    assert tasks(storage, late)[0] == (0, 64, TaskState.SATISFIED, "not chosen")
    assert storage.layouts.decided(model_id, CPU.device_class, "0.27.0") == first
    # An engine of another version, or a device of another class, decides anew.
    other, changes = begun(storage)
    newer = decision(model_id, "blocked", engine_version="0.28.0")
    assert storage.layouts.decide(other, newer, changes, owner="me").chosen == "blocked"
    elsewhere = decision(model_id, "blocked", device_class=GPU.device_class)
    assert storage.layouts.decide(other, elsewhere, changes, owner="me").chosen == "blocked"
    assert len(storage.layouts.of_campaign(other)) == 2


def test_only_the_owner_of_the_lease_decides_and_what_fails_changes_nothing(storage: Storage) -> None:
    model_id = stock(storage, 0, 1)
    campaign_id, changes = begun(storage)
    before = tasks(storage, campaign_id)
    with pytest.raises(LeaseLostError):
        storage.layouts.decide(campaign_id, decision(model_id), changes, owner="you")
    with pytest.raises(NotFoundError):
        storage.layouts.decide(campaign_id, decision(model_id + 1), changes, owner="me")
    with pytest.raises(KeyError):
        storage.layouts.decide(campaign_id, decision(model_id), {"blocked": []}, owner="me")
    assert tasks(storage, campaign_id) == before
    assert storage.layouts.of_campaign(campaign_id) == []


def _decide(url: str, campaign_id: int, model_id: int, owner: str, chosen: str, steal: bool) -> None:
    with Storage.open(url) as storage:
        changes: dict[str, list[TaskChange]] = {"blocked": [], "nhwc": []}
        if steal:
            holder = storage.campaigns.get(campaign_id).lease_owner or ""
            storage.leases.take_over(campaign_id, owner, holder, LONG_S)
        try:
            storage.layouts.decide(campaign_id, decision(model_id, chosen), changes, owner=owner)
        except LeaseLostError:
            return


def _at_once(*calls: tuple[object, ...]) -> None:
    processes = [FORK.Process(target=_decide, args=call) for call in calls]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0


def test_coordinators_that_fight_for_a_campaign_decide_it_once(url: str) -> None:
    with Storage.open(url) as storage:
        model_id = stock(storage, 0, 1)
        campaign_id, _ = begun(storage, "owner-0")
    _at_once(
        *((url, campaign_id, model_id, f"owner-{n}", ("blocked", "nhwc")[n % 2], n > 0) for n in range(4))
    )
    with Storage.open(url) as storage:
        assert len(storage.layouts.of_campaign(campaign_id)) == 1


def test_campaigns_that_decide_about_one_model_at_once_decide_the_same(url: str) -> None:
    with Storage.open(url) as storage:
        model_id = stock(storage, 0, 1)
        campaigns = [begun(storage)[0] for _ in range(4)]
    _at_once(*((url, c, model_id, "me", ("blocked", "nhwc")[n % 2], False) for n, c in enumerate(campaigns)))
    with Storage.open(url) as storage:
        found: list[LayoutDecisionRow] = [storage.layouts.of_campaign(c)[0] for c in campaigns]
        assert len({row.chosen for row in found}) == 1


def test_the_first_trials_of_a_workload_are_what_counts(storage: Storage) -> None:
    stock(storage, 0, 1, 2)
    # Fast ones that came later, or are another device's, tell nothing about the first.
    storage.trials.record([failed(0)])
    storage.trials.record([ok(1, 3.0)])
    storage.trials.record([ok(2, 2.0)])
    storage.trials.record([ok(3, 1.0)])
    storage.trials.record([ok(4, 0.5, on=GPU)])
    storage.trials.record([failed(5, of=1)])
    hashes = [workload(n).hash for n in (0, 1, 2)]
    assert storage.layouts.first_times(hashes, CPU.device_class, 3) == {hashes[0]: pytest.approx(2.0)}
    assert storage.layouts.first_times(hashes, CPU.device_class, 5) == {hashes[0]: pytest.approx(1.0)}
    assert storage.layouts.first_times(hashes, CPU.device_class, 1) == {}
    assert storage.layouts.first_times([], CPU.device_class, 5) == {}


def test_layouts_that_somebody_named_are_known(storage: Storage) -> None:
    model_id = stock(storage)
    for spec in ({"layout": "nhwc"}, {"layout": "auto"}, {"trials": 3}):
        storage.campaigns.set_model(campaign(storage, spec=spec), 0, model_id)
    # Nobody has read that one's model.
    campaign(storage, spec={"layout": "nchw"})
    assert storage.layouts.asked_for(model_id) == {"nhwc"}


def test_what_came_close_is_kept_with_an_extraction(storage: Storage) -> None:
    model_id = stock(storage)
    close = Extraction((TaskSpec("t", 1, workload()),), "9", "blocked", "by its estimate", "nhwc", 1.0, 1.1)
    storage.extractions.put(model_id, "metaschedule", CPU.target, close)
    assert storage.extractions.find(model_id, "metaschedule", CPU.target, "9") == close
    assert [row.alternative for row in storage.extractions.layouts(model_id, "metaschedule")][-1] == "nhwc"
