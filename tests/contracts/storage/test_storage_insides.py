"""What kernels take inside their models, as it is stored, and what is told by it."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from orchestrator.errors import NotFoundError
from orchestrator.storage import CampaignState, Inside, NewCampaignModel, NewInside, Storage
from tests.kit.storage_builders import CPU, GPU, campaign, failed, model, ok, stock, task, workload

HERE = CPU.device_class
VERSIONS = {"tvm": "0.27"}


def seen(*numbers: int, seconds: float = 2.0) -> dict[str, NewInside]:
    return {workload(n).hash: NewInside("candidate-1", seconds) for n in numbers}


def test_a_kernel_inside_its_model_is_held_against_its_own_schedule_alone(storage: Storage) -> None:
    known = stock(storage, 0, 1)
    storage.toolchains.adopt(HERE, VERSIONS)
    storage.trials.record([ok(1, 1.5), ok(2, 1.0), ok(2, 4.0, of=1)])
    assert storage.insides.put(known, HERE, seen(0, 1)) == 2
    first, second = (storage.insides.of_model(known, HERE)[workload(n).hash] for n in (0, 1))
    assert (first.seconds, first.alone_s) == (2.0, 1.5)
    # Of the other, that schedule was not measured.
    assert (second.seconds, second.alone_s) == (2.0, None)
    assert storage.insides.of_model(known, GPU.device_class) == {}


def test_what_was_seen_first_stays_until_the_toolchain_is_another(storage: Storage) -> None:
    known = stock(storage, 0, 1)
    storage.toolchains.adopt(HERE, VERSIONS)
    storage.trials.record([ok(1, 1.5)])
    storage.insides.put(known, HERE, seen(0))
    assert storage.insides.put(known, HERE, seen(0, 1, seconds=3.0)) == 1
    assert [one.seconds for one in storage.insides.of_model(known, HERE).values()] == [2.0, 3.0]

    storage.toolchains.adopt(HERE, {"tvm": "0.28"})
    assert storage.insides.of_model(known, HERE) == {}
    storage.insides.put(known, HERE, seen(0, seconds=4.0))
    (anew,) = storage.insides.of_model(known, HERE).values()
    # The trial of that schedule is the older one's.
    assert (anew.seconds, anew.alone_s) == (4.0, None)


def test_what_is_not_stored_was_not_seen_inside_anything(storage: Storage) -> None:
    known = stock(storage, 0)
    with pytest.raises(NotFoundError, match="nowhere"):
        storage.insides.put(known, "nowhere", {})
    with pytest.raises(NotFoundError, match="no workload"):
        storage.insides.put(known, HERE, seen(7))


@pytest.mark.parametrize(
    ("inside_s", "alone_s", "best_s", "expected_s"),
    [
        # Nothing was measured: as it was seen.
        (2.0, None, None, 2.0),
        (2.0, 1.5, None, 2.0),
        # Its schedule of then was not: what the best takes alone.
        (2.0, None, 1.0, 1.0),
        # What has to be moved takes as long with any schedule.
        (2.0, 1.5, 1.5, 2.0),
        (2.0, 1.5, 1.0, 1.5),
        # And what is in the caches already is so much less.
        (1.0, 2.0, 1.0, 0.5),
    ],
)
def test_a_call_inside_takes_longer_by_what_it_took_longer_with_another_schedule(
    inside_s: float, alone_s: float | None, best_s: float | None, expected_s: float
) -> None:
    inside = Inside(inside_s, alone_s, datetime.now(timezone.utc))
    assert inside.expected_s(best_s) == expected_s


def test_tasks_of_a_campaign_are_expected_as_they_are_inside_its_models(storage: Storage) -> None:
    known = stock(storage, 0, 1)
    number = campaign(storage)
    storage.tasks.put(number, [task(0), task(1)])
    storage.toolchains.adopt(HERE, VERSIONS)
    storage.insides.put(known, HERE, seen(0, 1))
    # Of which models it is, is known once these are prepared.
    assert [row.expected_s for row in storage.tasks.of_campaign(number)] == [None, None]
    storage.campaigns.set_model(number, 0, known)
    # The second is called twice.
    assert [row.expected_s for row in storage.tasks.of_campaign(number)] == [2.0, 4.0]
    storage.trials.record([ok(1, 1.5), ok(2, 1.0), ok(2, 1.0, of=1)])
    assert [row.expected_s for row in storage.tasks.of_campaign(number)] == [1.5, 2.0]


def test_a_curve_begins_with_what_all_tasks_take_inside_the_first_library(storage: Storage) -> None:
    known = stock(storage, 0, 1)
    number = campaign(storage, owner="me", ttl_s=60.0)
    storage.campaigns.transition(number, CampaignState.EXTRACTING, owner="me")
    storage.campaigns.set_model(number, 0, known)
    storage.tasks.put(number, [task(0), task(1)], owner="me")
    storage.toolchains.adopt(HERE, VERSIONS)
    storage.insides.put(known, HERE, seen(0, 1))
    (begun,) = storage.answers.curves(number)
    # Called once and twice.
    ((at_s, latency_s),) = begun.points
    assert (0 < at_s < 60, latency_s) == (True, 6.0)
    # Half a second of each of the first's calls is for being inside; of the second that isn't known.
    for trials in ([ok(1, 1.5)], [ok(2, 1.0), failed(3)], [ok(2, 1.0, of=1)]):
        storage.trials.record(trials, campaign_id=number, owner="me")
    (row,) = storage.answers.curves(number)
    assert [latency_s for _, latency_s in row.points] == pytest.approx([6.0, 5.5, 3.5])
    assert row.points[0] == (at_s, 6.0)


def test_where_some_were_not_seen_a_curve_begins_once_those_have_a_time(storage: Storage) -> None:
    known = stock(storage, 0, 1)
    number = campaign(storage, owner="me", ttl_s=60.0)
    storage.campaigns.transition(number, CampaignState.EXTRACTING, owner="me")
    storage.campaigns.set_model(number, 0, known)
    storage.tasks.put(number, [task(0), task(1)], owner="me")
    storage.toolchains.adopt(HERE, VERSIONS)
    storage.insides.put(known, HERE, seen(0))
    assert storage.answers.curves(number)[0].points == ()
    storage.trials.record([ok(2, 1.0, of=1)], campaign_id=number, owner="me")
    assert [latency_s for _, latency_s in storage.answers.curves(number)[0].points] == [4.0]


def test_a_workload_that_was_seen_inside_a_model_stays(storage: Storage) -> None:
    known = stock(storage, 0)
    storage.workloads.put([workload(7)])
    storage.trials.record([failed(20, of=7)])
    storage.insides.put(known, HERE, {workload(7).hash: NewInside("candidate-1", 1.0)})
    assert storage.upkeep.prune(failed=True).workloads == 0


def test_models_that_call_the_same_kernel_count_alike(storage: Storage) -> None:
    known = stock(storage, 0)
    other = storage.models.put(model(1), "/models/model1.onnx")
    number = campaign(storage, models=[NewCampaignModel("/models/model0.onnx"), NewCampaignModel("/b.onnx")])
    for place, one in enumerate((known, other)):
        storage.campaigns.set_model(number, place, one)
        storage.insides.put(one, HERE, seen(0, seconds=2.0 + 2.0 * place))
    storage.tasks.put(number, [task(0)])
    (row,) = storage.tasks.of_campaign(number)
    assert row.expected_s == 3.0


def test_where_a_models_time_goes_is_told_by_what_tasks_take_inside(storage: Storage) -> None:
    known = stock(storage, 0, 1, 2)
    storage.toolchains.adopt(HERE, VERSIONS)
    storage.trials.record([ok(1, 1.5), ok(2, 1.0), ok(4, 3.0, of=2)])
    # Two seconds a call inside: half a second longer than alone for the first; the second has no trial.
    storage.insides.put(known, HERE, seen(0, 1))
    found = storage.answers.slowest(known, HERE, "0.27.0")
    assert (found.tasks_total, found.tasks_timed, found.expected_s) == (3, 3, 14.5)
    assert [(one.name, one.best_s, one.expected_s) for one in found.tasks] == [
        ("task2", 3.0, 9.0),
        ("task1", None, 4.0),
        ("task0", 1.0, 1.5),
    ]
    assert sum(one.share or 0.0 for one in found.tasks) == pytest.approx(1.0)
    history = storage.answers.model_history(known, HERE, "0.27.0")
    assert [(one.name, one.cost_s, one.expected_s) for one in history] == [
        ("task0", 1.5, 2.0),
        ("task0", 1.0, 1.5),
        ("task2", 3.0, 10.5),
    ]
    assert storage.answers.model_history(known, HERE, "0.27.0", last=1) == history[-1:]
    assert storage.answers.model_history(known, HERE, "0.27.0", last=0) == []
