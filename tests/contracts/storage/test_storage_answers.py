"""What people ask of the trials: each answer is worked out by hand beside it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from orchestrator.errors import LeaseLostError, NotFoundError
from orchestrator.storage import (
    BestOrder,
    CampaignState,
    CurveRow,
    MeasurementKind,
    NewBeginning,
    NewCampaignModel,
    NewMeasurement,
    NewTrial,
    NewVerification,
    Storage,
)
from tests.kit.storage_builders import (
    CPU,
    GPU,
    campaign,
    extraction,
    failed,
    model,
    ok,
    stock,
    task,
    workload,
)
from workers.messages import Candidate, DeviceInfo, Measurement, TrialState

OTHER = DeviceInfo("llvm -num-cores 2", "other-cpu", "Some CPU", 2, "cpu", versions={"tvm": "0.16"})


def end(storage: Storage, campaign_id: int) -> None:
    """Let a campaign be done, at an instant that no trial shares."""
    time.sleep(0.005)
    storage.campaigns.transition(campaign_id, CampaignState.EXTRACTING)
    storage.campaigns.transition(campaign_id, CampaignState.DONE)
    time.sleep(0.005)


def test_the_best_of_everything_is_one_row_for_each_workload_and_class(storage: Storage) -> None:
    stock(storage, 0, 1, 2)
    storage.trials.record([ok(1, 3.0), ok(2, 2.0), failed(3)])
    storage.trials.record([ok(4, 5.0, of=1), ok(5, 0.5, on=GPU), failed(6, of=2)])
    rows = storage.answers.best(order=BestOrder.NAME)
    assert [(r.name, r.device_class, r.best_s, r.trials, r.failures) for r in rows] == [
        ("conv0", "cpu-a-2", 2.0, 3, 1),
        ("conv0", "gpu-b", 0.5, 1, 0),
        ("conv1", "cpu-a-2", 5.0, 1, 0),
    ]
    best = storage.trials.best(workload().hash, CPU.device_class)[0]
    assert (rows[0].trial_id, rows[0].recorded_at, rows[0].flops) == (best.id, best.created_at, 1e6)
    assert (rows[0].engine, rows[0].workload_hash) == ("metaschedule", workload().hash)


def test_the_best_of_everything_is_ordered_and_limited(storage: Storage) -> None:
    stock(storage, 0, 1, 2)
    for number, seconds in ((1, 3.0), (2, 1.0), (0, 2.0)):
        storage.trials.record([ok(number, seconds, of=number)])
    asked = {order: [row.name for row in storage.answers.best(order=order)] for order in BestOrder}
    assert asked == {
        BestOrder.LATEST: ["conv0", "conv2", "conv1"],
        BestOrder.NAME: ["conv0", "conv1", "conv2"],
        BestOrder.SLOWEST: ["conv1", "conv0", "conv2"],
    }
    assert [row.name for row in storage.answers.best(limit=2)] == ["conv0", "conv2"]


def test_the_best_of_everything_is_narrowed_by_what_it_is_asked_for(storage: Storage) -> None:
    stock(storage, 0, 1)
    storage.device_classes.put("another", OTHER)
    storage.trials.record([ok(1, 3.0), ok(2, 1.0, of=1), ok(3, 2.0, on=GPU)])

    def names(**wanted: str) -> list[tuple[str, str]]:
        rows = storage.answers.best(order=BestOrder.NAME, **wanted)  # type: ignore[arg-type]
        return [(row.name, row.device_class) for row in rows]

    assert names(device_class="gpu-b") == [("conv0", "gpu-b")]
    assert names(device_class="other-cpu") == names(engine="another") == names(name_pattern="dense") == []
    assert len(names(engine="metaschedule")) == 3
    assert names(workload_prefix="0001") == names(name_pattern="v1$") == [("conv1", "cpu-a-2")]
    # By a task's name in a model, too.
    assert names(name_pattern="^task1") == [("conv1", "cpu-a-2")]


def test_the_history_of_a_workload_has_each_trial_that_was_the_best(storage: Storage) -> None:
    stock(storage, 0, 1)
    campaign_id = campaign(storage)
    storage.trials.record([failed(0), ok(9, 0.1, on=GPU), ok(9, 0.1, of=1)])
    for number, seconds in enumerate((5.0, 6.0, 4.0, 4.0, 1.0), 1):
        storage.trials.record([ok(number, seconds, campaign=campaign_id if number > 2 else None)])
    rows = storage.answers.history(workload().hash, CPU.device_class)
    # The first of all failed; 6 and the second 4 bettered nothing.
    assert [(r.cost_s, r.before_s, r.trials, r.campaign_id) for r in rows] == [
        (5.0, None, 2, None),
        (4.0, 5.0, 4, campaign_id),
        (1.0, 4.0, 6, campaign_id),
    ]
    assert [(r.expected_s, r.tasks_timed, r.name, r.weight) for r in rows] == [
        (5.0, 1, "conv0", 1),
        (4.0, 1, "conv0", 1),
        (1.0, 1, "conv0", 1),
    ]
    assert rows[-1].recorded_at == storage.trials.get(rows[-1].trial_id).created_at
    assert storage.answers.history(workload().hash, CPU.device_class, last=2) == rows[1:]
    assert storage.answers.history(workload(1).hash, GPU.device_class) == []
    with pytest.raises(NotFoundError, match="no device class"):
        storage.answers.history(workload().hash, "nothing")
    with pytest.raises(NotFoundError, match="no workload"):
        storage.answers.history("ffff", CPU.device_class)


def test_the_history_of_a_model_adds_its_tasks_up(storage: Storage) -> None:
    # One call of task 0 in a run, two of task 1, three of task 2.
    model_id = stock(storage, 0, 1, 2)
    for number, of, seconds in ((1, 0, 8.0), (2, 1, 4.0), (3, 0, 9.0), (4, 0, 2.0), (5, 1, 1.5)):
        storage.trials.record([ok(number, seconds, of=of)])
    storage.trials.record([failed(6, of=2), ok(7, 0.25, of=1), ok(1, 0.001, on=GPU), ok(8, 1.0, of=2)])
    rows = storage.answers.model_history(model_id, CPU.device_class, "0.27.0")
    assert [
        (r.name, r.weight, r.cost_s, r.before_s, r.trials, r.tasks_timed, r.expected_s) for r in rows
    ] == [
        ("task0", 1, 8.0, None, 1, 1, 8.0),
        ("task1", 2, 4.0, None, 2, 2, 8.0 + 2 * 4.0),
        ("task0", 1, 2.0, 8.0, 4, 2, 2.0 + 2 * 4.0),
        ("task1", 2, 1.5, 4.0, 5, 2, 2.0 + 2 * 1.5),
        # Trials of one batch are recorded in the order of their workloads.
        ("task1", 2, 0.25, 1.5, 6, 2, 2.0 + 2 * 0.25),
        ("task2", 3, 1.0, None, 8, 3, 2.0 + 2 * 0.25 + 3 * 1.0),
    ]
    assert storage.answers.model_history(model_id, CPU.device_class, "0.27.0", last=1) == rows[-1:]
    with pytest.raises(NotFoundError, match="was not extracted"):
        storage.answers.model_history(model_id, CPU.device_class, "0.28.0")


def test_the_slowest_tasks_are_shares_of_the_whole(storage: Storage) -> None:
    model_id = stock(storage, 0, 1, 2, 3)
    storage.trials.record([ok(1, 5.0), ok(2, 2.0), ok(3, 1.0, of=1), ok(4, 2.0, of=2), failed(5, of=3)])
    found = storage.answers.slowest(model_id, CPU.device_class, "0.27.0")
    # 1 x 2 s, 2 x 1 s and 3 x 2 s are 10 s; of equals, the earlier in the model.
    assert (found.tasks_total, found.tasks_timed, found.expected_s) == (4, 3, 10.0)
    assert [(t.name, t.weight, t.best_s, t.expected_s, t.share, t.trials) for t in found.tasks] == [
        ("task2", 3, 2.0, 6.0, pytest.approx(0.6), 1),
        ("task0", 1, 2.0, 2.0, pytest.approx(0.2), 2),
        ("task1", 2, 1.0, 2.0, pytest.approx(0.2), 1),
        ("task3", 4, None, None, None, 1),
    ]
    assert [t.cumulative for t in found.tasks] == [*map(pytest.approx, (0.6, 0.8, 1.0)), None]
    assert found.tasks[3].trial_id is None
    few = storage.answers.slowest(model_id, CPU.device_class, "0.27.0", limit=1)
    assert (few.tasks, few.tasks_total, few.expected_s) == (found.tasks[:1], 4, 10.0)


def test_a_model_without_tasks_or_without_times_has_no_shares(storage: Storage) -> None:
    model_id = stock(storage, 0)
    found = storage.answers.slowest(model_id, CPU.device_class, "0.27.0")
    assert (found.tasks_total, found.tasks_timed, found.expected_s) == (1, 0, 0.0)
    assert (found.tasks[0].share, found.tasks[0].cumulative) == (None, None)
    empty = storage.models.put(model(1), "/b.onnx")
    storage.extractions.put(empty, "metaschedule", CPU.target, extraction())
    assert storage.answers.slowest(empty, CPU.device_class, "0.27.0").tasks == ()


def test_an_extraction_keeps_the_layout_that_was_chosen_and_why(storage: Storage) -> None:
    model_id = storage.models.put(model(), "/a.onnx")
    storage.device_classes.put("metaschedule", CPU)
    plain = extraction(0)
    chosen = replace(plain, layout="blocked", layout_reason="blocks 1 ms; NCHW 2 ms")
    asked = replace(plain, engine_version=f"{plain.engine_version}+nchw", layout="nchw")
    for one in (chosen, asked):
        storage.extractions.put(model_id, "metaschedule", CPU.target, one)
        assert storage.extractions.find(model_id, "metaschedule", CPU.target, one.engine_version) == one
    assert [
        (row.device_class, row.engine_version, row.layout, row.reason)
        for row in storage.extractions.layouts(model_id, "metaschedule")
    ] == [
        (CPU.device_class, "0.27.0", "blocked", "blocks 1 ms; NCHW 2 ms"),
        (CPU.device_class, "0.27.0+nchw", "nchw", ""),
    ]
    assert storage.extractions.layouts(model_id, "autotvm") == []


def test_a_model_is_known_on_the_devices_it_was_extracted_for(storage: Storage) -> None:
    model_id = stock(storage, 0, 1)
    storage.trials.record([ok(1, 1.0), ok(2, 1.0), failed(3, of=1)])
    found = storage.extractions.device_classes(model_id)
    assert [(d.device_class, d.engine, d.engine_version, d.tasks, d.tasks_timed) for d in found] == [
        ("cpu-a-2", "metaschedule", "0.27.0", 2, 1),
        ("gpu-b", "metaschedule", "0.27.0", 2, 0),
    ]
    # The last extraction counts.
    newer = extraction(1, 2, 3)
    storage.extractions.put(
        model_id, "metaschedule", CPU.target, type(newer)(newer.tasks, engine_version="0.28.0")
    )
    assert [(d.engine_version, d.tasks) for d in storage.extractions.device_classes(model_id)] == [
        ("0.28.0", 3),
        ("0.27.0", 2),
    ]
    assert storage.extractions.device_classes(99) == []
    assert storage.workloads.device_classes(workload().hash) == ["cpu-a-2"]
    assert storage.workloads.device_classes(workload(1).hash) == ["cpu-a-2"]
    assert storage.workloads.device_classes(workload(2).hash) == []


def crashed(n: int, message: str, *, of: int = 0) -> NewTrial:
    measured = Measurement(TrialState.RUN_ERROR, (), message, "cpu:0", "host-a", 0.1)
    return NewTrial(workload(of).hash, CPU.device_class, Candidate(f"candidate-{n}", "t"), measured)


def test_failures_are_counted_by_device_and_class(storage: Storage) -> None:
    stock(storage, 0, 1)
    storage.trials.record([ok(1, 1.0), ok(2, 1.0), ok(3, 1.0, of=1), ok(1, 1.0, on=GPU)])
    storage.trials.record([crashed(4, "out of memory"), crashed(5, "segfault", of=1)])
    storage.trials.record([crashed(6, "segfault"), failed(7, TrialState.BUILD_TIMEOUT)])
    cpu, gpu = storage.answers.failures()
    assert (cpu.device_class, cpu.trials, cpu.failed) == ("cpu-a-2", 7, 4)
    assert (gpu.device_class, gpu.trials, gpu.failed, gpu.classes) == ("gpu-b", 1, 0, ())
    crashes, timeouts = cpu.classes
    assert (crashes.state, crashes.trials, crashes.workloads) == (TrialState.RUN_ERROR, 3, 2)
    assert (crashes.message, crashes.message_trials) == ("segfault", 2)
    assert crashes.share == pytest.approx(3 / 7)
    assert (timeouts.state, timeouts.trials, timeouts.message) == (
        TrialState.BUILD_TIMEOUT,
        1,
        "it failed: 7",
    )
    last = storage.trials.of_workload(workload().hash, CPU.device_class)[-1]
    assert timeouts.last_at == last.created_at


def test_failures_are_narrowed_by_what_they_are_asked_for(storage: Storage) -> None:
    model_id = stock(storage, 0)
    storage.workloads.put([workload(1)])
    mine, other = campaign(storage), campaign(storage)
    storage.trials.record(
        [ok(1, 1.0, campaign=mine), failed(2, campaign=mine), failed(2, on=GPU, campaign=mine)]
    )
    storage.trials.record([failed(3, campaign=other), failed(4, of=1, campaign=other), failed(5, of=1)])

    def counts(**wanted: object) -> list[tuple[str, int, int]]:
        found = storage.answers.failures(**wanted)  # type: ignore[arg-type]
        return [(one.device_class, one.failed, one.trials) for one in found]

    assert counts() == [("cpu-a-2", 4, 5), ("gpu-b", 1, 1)]
    assert counts(campaign_id=mine) == [("cpu-a-2", 1, 2), ("gpu-b", 1, 1)]
    assert counts(campaign_id=mine, device_class="gpu-b") == [("gpu-b", 1, 1)]
    assert counts(campaign_id=other, workload_hash=workload(1).hash) == [("cpu-a-2", 1, 1)]
    assert counts(workload_hash=workload(1).hash) == [("cpu-a-2", 2, 2)]
    assert counts(model_id=model_id) == [("cpu-a-2", 2, 3), ("gpu-b", 1, 1)]
    assert counts(model_id=model_id, campaign_id=other) == [("cpu-a-2", 1, 1)]
    assert counts(engine="metaschedule") == counts()
    assert counts(engine="another") == counts(device_class="nothing") == []


def test_two_campaigns_are_compared_as_each_left_the_store(storage: Storage) -> None:
    stock(storage, 0, 1, 2)
    first = campaign(storage)
    storage.trials.record([ok(1, 7.0), ok(2, 6.0, of=1)])
    storage.tasks.put(first, [task(0), task(1)])
    storage.trials.record([ok(3, 8.0, campaign=first), ok(4, 5.0, campaign=first), failed(5, campaign=first)])
    end(storage, first)
    # Between the two, somebody else finds something.
    storage.trials.record([ok(6, 3.0, of=1)])
    second = campaign(storage)
    storage.tasks.put(second, [task(2, budget=4), task(0, budget=64), task(1)])
    storage.trials.record([ok(7, 2.0, campaign=second), ok(8, 9.0, of=2, campaign=second)])
    end(storage, second)
    storage.trials.record([ok(9, 0.125), ok(10, 0.125, of=1)])

    conv0, conv1, conv2 = storage.answers.compare(first, second)
    assert [(row.name, row.device_class) for row in (conv0, conv1, conv2)] == [
        ("task0", "cpu-a-2"),
        ("task1", "cpu-a-2"),
        ("task2", "cpu-a-2"),
    ]
    assert conv0.first is not None
    assert conv0.second is not None
    assert (conv0.first.measured, conv0.first.failures, conv0.first.budget) == (3, 1, 32)
    assert (conv0.first.own_best_s, conv0.first.best_s) == (5.0, 5.0)
    assert (conv0.second.measured, conv0.second.failures, conv0.second.budget) == (1, 0, 64)
    assert (conv0.second.own_best_s, conv0.second.best_s) == (2.0, 2.0)
    assert conv1.first is not None
    assert conv1.second is not None
    assert (conv1.first.measured, conv1.first.own_best_s, conv1.first.best_s) == (0, None, 6.0)
    assert (conv1.second.own_best_s, conv1.second.best_s, conv1.second.weight) == (None, 3.0, 2)
    assert conv2.first is None
    assert conv2.second is not None
    assert conv2.second.best_s == 9.0
    turned = storage.answers.compare(second, first)
    assert [(row.name, row.first, row.second) for row in turned] == [
        (row.name, row.second, row.first) for row in (conv0, conv1, conv2)
    ]


def test_a_campaign_that_goes_on_is_compared_with_what_is_there_now(storage: Storage) -> None:
    stock(storage)
    first, second = campaign(storage), campaign(storage)
    for campaign_id in (first, second):
        storage.tasks.put(campaign_id, [task(0)])
    storage.trials.record([ok(1, 2.0, campaign=first)])
    end(storage, first)
    storage.trials.record([ok(2, 1.0, campaign=second)])
    (row,) = storage.answers.compare(first, second)
    assert row.first is not None
    assert row.second is not None
    assert (row.first.best_s, row.second.best_s) == (2.0, 1.0)


def test_a_campaigns_models_are_as_they_were_last_compared_until_its_end(storage: Storage) -> None:
    model_id = stock(storage)
    first = campaign(
        storage, models=[NewCampaignModel("/models/model0.onnx"), NewCampaignModel("/unread.onnx")]
    )
    second = campaign(storage)
    for campaign_id in (first, second):
        storage.campaigns.set_model(campaign_id, 0, model_id)
        storage.tasks.put(campaign_id, [task(0), task(0, on=GPU)])

    def verify(seconds: float, campaign_id: int | None) -> None:
        storage.verifications.put(
            NewVerification(model_id, CPU.device_class, "key", tuned_s=seconds, campaign_id=campaign_id)
        )

    assert storage.verifications.after_campaign(first) == []
    verify(3.0, None)
    verify(2.0, first)
    end(storage, first)
    verify(1.0, None)
    assert [(v.tuned_s, v.campaign_id) for v in storage.verifications.after_campaign(first)] == [(2.0, first)]
    # It goes on, and has none of its own: the last there is.
    assert [(v.tuned_s, v.campaign_id) for v in storage.verifications.after_campaign(second)] == [(1.0, None)]


def test_the_curve_of_a_campaign_begins_where_all_its_tasks_have_a_time(storage: Storage) -> None:
    model_id = stock(storage, 0, 1, 2)
    campaign_id = campaign(storage, owner="me", ttl_s=60.0)
    assert storage.answers.curves(campaign_id) == []
    storage.campaigns.transition(campaign_id, CampaignState.EXTRACTING, owner="me")
    storage.campaigns.set_model(campaign_id, 0, model_id)
    # Called once and twice; the third is of a layout that the model hasn't.
    tasks = [task(0), task(1), replace(task(2), weight=0)]
    storage.tasks.put(campaign_id, tasks, owner="me")
    (none,) = storage.answers.curves(campaign_id)
    assert (none.library_s, none.reference_s, none.points, none.passed_s) == (None, None, (), None)
    storage.beginnings.put(campaign_id, NewBeginning(model_id, CPU.device_class, 40.0, 9.5), owner="me")
    storage.trials.record([ok(1, 8.0), ok(2, 7.0)], campaign_id=campaign_id, owner="me")
    assert storage.answers.curves(campaign_id)[0].points == ()
    storage.trials.record([ok(3, 2.0, of=1), ok(4, 3.0, of=1)], campaign_id=campaign_id, owner="me")
    storage.trials.record([failed(5), ok(6, 5.0)], campaign_id=campaign_id, owner="me")
    storage.trials.record([ok(7, 4.999)], campaign_id=campaign_id, owner="me")
    storage.trials.record([ok(8, 4.998)], campaign_id=campaign_id, owner="me")
    (row,) = storage.answers.curves(campaign_id)
    assert (row.device_class, row.library_s, row.reference_s) == (CPU.device_class, 40.0, 9.5)
    # 7 + 2 * 2, then 5 + 2 * 2; of two small steps the last.
    assert [latency_s for _, latency_s in row.points] == pytest.approx([11.0, 9.0, 8.998])
    times = [at_s for at_s, _ in row.points]
    assert times == sorted(times)
    assert 0 < times[0] < 60
    assert row.passed_s == times[1]
    # What others find later is no part of it.
    storage.campaigns.transition(campaign_id, CampaignState.DONE, owner="me")
    time.sleep(0.005)
    storage.trials.record([ok(9, 1.0)])
    assert storage.answers.curves(campaign_id) == [row]


def test_what_was_stored_before_a_campaign_is_where_its_curve_begins(storage: Storage) -> None:
    model_id = stock(storage, 0)
    storage.trials.record([ok(1, 8.0), ok(2, 7.0)])
    time.sleep(0.005)
    campaign_id = campaign(storage, owner="me", ttl_s=60.0)
    storage.campaigns.transition(campaign_id, CampaignState.EXTRACTING, owner="me")
    storage.campaigns.set_model(campaign_id, 0, model_id)
    storage.tasks.put(campaign_id, [task(0)], owner="me")
    beginning = NewBeginning(model_id, CPU.device_class, None, 7.5)
    storage.beginnings.put(campaign_id, beginning, owner="me")
    # That of a second run of it says how fast it has become, not how it began.
    storage.beginnings.put(campaign_id, replace(beginning, reference_s=1.0), owner="me")
    (row,) = storage.answers.curves(campaign_id)
    assert row == CurveRow(CPU.device_class, None, 7.5, ((0.0, 7.0),))
    assert row.passed_s == 0.0
    (stored,) = storage.beginnings.of_campaign(campaign_id)
    assert (stored.model_id, stored.device_class, stored.reference_s) == (model_id, CPU.device_class, 7.5)
    with pytest.raises(LeaseLostError):
        storage.beginnings.put(campaign_id, beginning, owner="you")
    with pytest.raises(NotFoundError):
        storage.answers.curves(campaign_id + 1)


def test_the_curve_of_a_campaign_that_has_ended_stays_what_it_was_with_a_later_toolchain(
    storage: Storage,
) -> None:
    model_id = stock(storage, 0, 1)
    campaign_id = campaign(storage, owner="me", ttl_s=60.0)
    storage.campaigns.transition(campaign_id, CampaignState.EXTRACTING, owner="me")
    storage.campaigns.set_model(campaign_id, 0, model_id)
    storage.tasks.put(campaign_id, [task(0), task(1)], owner="me")
    mine = [ok(1, 8.0), ok(2, 1.0, of=1), ok(3, 6.0), ok(4, 5.0)]
    trials = [replace(trial, campaign_id=campaign_id) for trial in mine]
    for trial in trials:
        storage.trials.record([trial], campaign_id=campaign_id, owner="me")
    (before,) = storage.answers.curves(campaign_id)
    assert [latency_s for _, latency_s in before.points] == pytest.approx([10.0, 8.0, 7.0])
    upgraded = {"tvm": "0.28"}
    # While it goes on, what counts is what the toolchain of now has measured.
    storage.toolchains.adopt(CPU.device_class, upgraded)
    assert storage.answers.curves(campaign_id)[0].points == ()
    storage.campaigns.transition(campaign_id, CampaignState.DONE, owner="me")
    assert storage.answers.curves(campaign_id) == [before]
    # Its winner, measured anew by somebody else, fails; and another takes longer.
    storage.measurements.add(
        [
            NewMeasurement(
                trial.workload_hash,
                trial.device_class,
                trial.candidate.hash,
                found.measurement,
                MeasurementKind.REVALIDATED,
                f"anew-{number}",
                upgraded,
            )
            for number, (trial, found) in enumerate([(trials[3], failed(4)), (trials[2], ok(3, 6.5))])
        ]
    )
    assert storage.answers.curves(campaign_id) == [before]


def test_what_a_campaign_measures_anew_is_on_its_curve_when_it_was(storage: Storage) -> None:
    model_id = stock(storage, 0)
    storage.trials.record([ok(1, 8.0), ok(2, 7.0)])
    campaign_id = campaign(storage, owner="me", ttl_s=60.0)
    storage.campaigns.transition(campaign_id, CampaignState.EXTRACTING, owner="me")
    storage.campaigns.set_model(campaign_id, 0, model_id)
    storage.tasks.put(campaign_id, [task(0)], owner="me")
    upgraded = {"tvm": "0.28"}
    storage.toolchains.adopt(CPU.device_class, upgraded)
    (row,) = storage.answers.curves(campaign_id)
    assert row.points == ()
    # The older one last.
    for number, seconds in ((2, 6.5), (1, 6.0)):
        time.sleep(0.02)
        trial = ok(number, seconds)
        storage.measurements.add(
            [
                NewMeasurement(
                    trial.workload_hash,
                    trial.device_class,
                    trial.candidate.hash,
                    trial.measurement,
                    MeasurementKind.REVALIDATED,
                    f"anew-{number}",
                    upgraded,
                )
            ],
            campaign_id=campaign_id,
            owner="me",
        )
    (row,) = storage.answers.curves(campaign_id)
    assert [latency_s for _, latency_s in row.points] == pytest.approx([6.0])
    assert 0.04 <= row.points[0][0] < 60
    history = storage.answers.history(workload().hash, CPU.device_class)
    stored = {
        trial.id: trial.created_at for trial in storage.trials.of_workload(workload().hash, CPU.device_class)
    }
    assert all(one.recorded_at > stored[one.trial_id] for one in history)


def test_the_work_of_a_campaign_is_its_measurements_with_the_builds_before_them(storage: Storage) -> None:
    stock(storage)
    campaign_id = campaign(storage, owner="me", ttl_s=60.0)
    assert storage.answers.work(campaign_id, last=9) == []
    storage.campaigns.transition(campaign_id, CampaignState.EXTRACTING, owner="me")
    storage.tasks.put(campaign_id, [task(0)], owner="me")
    storage.trials.record([ok(1, 8.0)])
    again = ok(2, 7.0, campaign=campaign_id)
    storage.trials.record([again, failed(3, campaign=campaign_id)], campaign_id=campaign_id, owner="me")
    storage.measurements.add(
        [
            NewMeasurement(
                again.workload_hash,
                again.device_class,
                again.candidate.hash,
                replace(again.measurement, device="cpu:1"),
                MeasurementKind.AGAIN,
                "token-again",
                again.versions,
            )
        ],
        campaign_id=campaign_id,
        owner="me",
    )
    rows = storage.answers.work(campaign_id, last=9)
    assert [(row.device, row.host, row.run_s, row.build_s) for row in rows] == [
        ("cpu:0", "host-a", 0.5, 0.2),
        ("cpu:0", "host-a", 0.1, 0.0),
        ("cpu:1", "host-a", 0.5, 0.0),
    ]
    assert all(0 <= row.ended_s < 60 for row in rows)
    assert [row.run_s for row in storage.answers.work(campaign_id, last=1)] == [0.1]
    with pytest.raises(NotFoundError):
        storage.answers.work(99, last=9)
