"""Tasks, trials, and the lookups of the best."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from dataclasses import replace
from importlib import metadata
from multiprocessing.connection import Connection
from typing import Any

import pytest

from orchestrator.errors import LeaseLostError, NotFoundError
from orchestrator.storage import NewTrial, NewVerification, Storage, TaskState, records_key
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
from workers.messages import Candidate, Measurement, Record, TrialState


def test_a_trial_is_recorded_once(storage: Storage) -> None:
    stock(storage)
    assert storage.trials.record([ok(1, 2.0), failed(2), ok(1, 1.0)]) == 2
    assert storage.trials.record([failed(1), ok(2, 1.0), ok(3, 3.0)]) == 1
    assert storage.trials.record([]) == 0
    (best,) = storage.trials.best(workload().hash, CPU.device_class)
    assert (best.candidate, best.cost_s) == ("candidate-1", 2.0)
    # The same candidate elsewhere is another trial.
    assert storage.trials.record([ok(1, 1.0, on=GPU)]) == 1


def test_a_trial_comes_back_as_it_was_put(storage: Storage) -> None:
    stock(storage)
    campaign_id = campaign(storage)
    put = ok(1, 2.0, campaign=campaign_id)
    storage.trials.record([put, failed(2, TrialState.RUN_TIMEOUT, campaign=campaign_id)])
    good, bad = storage.trials.of_campaign(campaign_id)
    assert (good.workload_hash, good.workload_name, good.device_class) == (
        workload().hash,
        "conv0",
        CPU.device_class,
    )
    assert (good.times, good.cost_s) == (put.measurement.times, 2.0)
    assert (good.device, good.host, good.token) == ("cpu:0", "host-a", "token-1")
    assert good.versions == {"tvm": "0.27", "tunefleet": metadata.version("tunefleet")}
    assert (good.build_s, good.run_s, good.trace) == (0.2, 0.5, None)
    assert storage.trials.get(good.id).trace == put.candidate.trace
    assert (bad.state, bad.cost_s, bad.times, bad.message) == (
        TrialState.RUN_TIMEOUT,
        None,
        (),
        "it failed: 2",
    )
    with pytest.raises(NotFoundError):
        storage.trials.get(10**6)


def test_a_trial_that_computes_something_else_is_a_failure_from_then_on(storage: Storage) -> None:
    stock(storage)
    pair = (workload().hash, CPU.device_class)
    storage.trials.record([ok(1, 1.0), ok(2, 2.0), failed(3), ok(1, 0.5, on=GPU)])
    where: dict[str, Any] = {"versions": {"tvm": "0.28"}, "device": "cpu:1", "host": "host-b"}
    before = storage.trials.mark_wrong(*pair, "candidate-1", "it is wrong", **where)
    assert before is not None
    assert (before.state, before.cost_s) == (TrialState.OK, 1.0)
    found = storage.trials.get(before.id)
    assert (found.state, found.cost_s, found.times) == (TrialState.WRONG_OUTPUT, None, ())
    assert found.message == "it is wrong; it had been timed at 1 s"
    both = storage.measurements.of_trial(before.id)
    kinds = [(one.kind.value, one.cost_s, one.counts) for one in both]
    assert kinds == [("full", 1.0, False), ("compared", None, True)]
    # With what it was compared and where, which need not be how it had been timed.
    assert [(one.versions["tvm"], one.device, one.host) for one in both] == [
        ("0.27", "cpu:0", "host-a"),
        ("0.28", "cpu:1", "host-b"),
    ]
    assert [trial.candidate for trial in storage.trials.best(*pair, 5)] == ["candidate-2"]
    assert storage.trials.known_candidates(*pair) == {"candidate-1", "candidate-2", "candidate-3"}
    assert storage.trials.best(workload().hash, GPU.device_class)[0].cost_s == 0.5
    # Once is enough, and what failed or isn't there can't be.
    for candidate in ("candidate-1", "candidate-3", "candidate-9"):
        assert storage.trials.mark_wrong(*pair, candidate, "again", **where) is None
    assert storage.trials.get(before.id) == found


def test_the_output_of_a_crash_can_be_stored(storage: Storage) -> None:
    stock(storage)
    campaign_id = campaign(storage)
    measured = Measurement(TrialState.RUN_ERROR, (), "Segmentation \x00 fault \udcff", host="h")
    storage.trials.record(
        [NewTrial(workload().hash, CPU.device_class, Candidate("c", "t"), measured, campaign_id)]
    )
    assert storage.trials.of_campaign(campaign_id)[0].message == "Segmentation � fault ?"


@pytest.mark.parametrize(
    ("state", "times"),
    [(TrialState.OK, ()), (TrialState.OK, (float("nan"),)), (TrialState.WRONG_OUTPUT, (1e999,))],
)
def test_times_that_are_no_times_are_refused(
    storage: Storage, state: TrialState, times: tuple[float, ...]
) -> None:
    stock(storage)
    bad = NewTrial(workload().hash, CPU.device_class, Candidate("c", "t"), Measurement(state, times))
    with pytest.raises(ValueError, match="candidate c"):
        storage.trials.record([ok(1, 1.0), bad])
    assert storage.trials.known_candidates(workload().hash, CPU.device_class) == set()


def test_all_trials_of_a_workload_come_with_failures_and_traces(storage: Storage) -> None:
    stock(storage, 0, 1)
    storage.trials.record([ok(3, 2.0), failed(5)])
    storage.trials.record([ok(1, 1.0), ok(1, 1.0, of=1), ok(2, 1.0, on=GPU)])
    found = storage.trials.of_workload(workload().hash, CPU.device_class)
    assert [(trial.candidate, trial.state, trial.trace) for trial in found] == [
        ("candidate-3", TrialState.OK, '[["trace", 3]]'),
        ("candidate-5", TrialState.BUILD_ERROR, '[["trace", 5]]'),
        ("candidate-1", TrialState.OK, '[["trace", 1]]'),
    ]
    assert storage.trials.of_workload("nothing", CPU.device_class) == []


def test_one_unknown_name_stores_nothing_of_the_batch(storage: Storage) -> None:
    stock(storage)
    with pytest.raises(NotFoundError, match="no workload 0007"):
        storage.trials.record([ok(1, 1.0), ok(2, 1.0, of=7)])
    assert storage.trials.counts([(workload().hash, CPU.device_class)]) == {
        (workload().hash, CPU.device_class): 0
    }


def test_the_loser_of_a_lease_stores_nothing(storage: Storage) -> None:
    stock(storage)
    campaign_id = campaign(storage, owner="me", ttl_s=60.0)
    assert storage.trials.record([ok(1, 1.0)], campaign_id=campaign_id, owner="me") == 1
    storage.leases.take_over(campaign_id, "you", "me", 60.0)
    with pytest.raises(LeaseLostError):
        storage.trials.record([ok(2, 1.0)], campaign_id=campaign_id, owner="me")
    with pytest.raises(LeaseLostError):
        storage.tasks.put(campaign_id, [task()], owner="me")
    assert storage.trials.known_candidates(workload().hash, CPU.device_class) == {"candidate-1"}


def _insert(url: str, first: int, start: object) -> None:
    with Storage.open(url) as storage:
        start.wait()  # type: ignore[attr-defined]
        new = 0
        for n in range(first, first + 60, 3):
            new += storage.trials.record([ok(m, 1.0 + m) for m in range(n, n + 6)])
    os._exit(new)


def test_four_processes_that_write_the_same_trials_store_each_once(url: str) -> None:
    with Storage.open(url) as storage:
        stock(storage)
    fork = multiprocessing.get_context("fork")
    start = fork.Barrier(4)
    writers = [fork.Process(target=_insert, args=(url, 10 * n, start)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    with Storage.open(url) as storage:
        count = storage.trials.counts([(workload().hash, CPU.device_class)])
        assert count == {(workload().hash, CPU.device_class): 93}
        assert storage.trials.known_candidates(workload().hash, CPU.device_class) == {
            f"candidate-{n}" for n in range(93)
        }
    # What each was told was new adds up to what is there.
    assert sum(writer.exitcode or 0 for writer in writers) == 93


def _insert_for_ever(url: str, told: Connection) -> None:
    with Storage.open(url) as storage:
        for n in range(10**6):
            storage.trials.record([ok(n, 1.0)])
            told.send(n)


def test_what_was_recorded_survives_kill_9(url: str) -> None:
    with Storage.open(url) as storage:
        stock(storage)
    fork = multiprocessing.get_context("fork")
    hear, told = fork.Pipe(duplex=False)
    writer = fork.Process(target=_insert_for_ever, args=(url, told))
    writer.start()
    told.close()
    while hear.recv() < 20:
        pass
    writer.kill()
    writer.join()
    last = 20
    with contextlib.suppress(EOFError):
        while True:
            last = hear.recv()
    Storage.check(url)
    with Storage.open(url) as storage:
        known = storage.trials.known_candidates(workload().hash, CPU.device_class)
        assert known >= {f"candidate-{n}" for n in range(last + 1)}
        # At most the one that was being written when the process died is there unannounced.
        assert len(known) <= last + 2


def test_the_best_never_comes_from_another_device_class(storage: Storage) -> None:
    stock(storage)
    storage.trials.record([ok(n, 5.0 - n) for n in range(4)])
    storage.trials.record([ok(9, 0.001, on=GPU), failed(8)])
    best = storage.trials.best(workload().hash, CPU.device_class, k=2)
    assert [(row.candidate, row.trace) for row in best] == [
        ("candidate-3", '[["trace", 3]]'),
        ("candidate-2", '[["trace", 2]]'),
    ]
    both = storage.trials.best(workload().hash, k=2)
    assert [(row.device_class, row.cost_s) for row in both] == [
        ("cpu-a-2", 2.0),
        ("cpu-a-2", 3.0),
        ("gpu-b", 0.001),
    ]
    assert storage.trials.best(workload().hash, "nothing") == []
    assert [r.candidate.hash for r in storage.seeds.fastest(workload().hash, CPU.device_class, 3)] == [
        "candidate-3",
        "candidate-2",
        "candidate-1",
    ]


def test_equally_fast_trials_come_in_the_order_they_were_recorded(storage: Storage) -> None:
    stock(storage)
    for n in (3, 1, 2):
        storage.trials.record([ok(n, 1.0)])
    best = storage.trials.best(workload().hash, CPU.device_class, k=3)
    assert [row.candidate for row in best] == ["candidate-3", "candidate-1", "candidate-2"]


def test_a_search_gets_its_history_and_what_not_to_try_again(storage: Storage) -> None:
    stock(storage)
    put = ok(1, 2.0)
    storage.trials.record([put, failed(2)])
    assert storage.seeds.fastest(workload().hash, CPU.device_class) == [
        Record(put.candidate, put.measurement.times)
    ]
    assert storage.trials.known_candidates(workload().hash, CPU.device_class) == {
        "candidate-1",
        "candidate-2",
    }
    assert storage.seeds.fastest(workload(5).hash, CPU.device_class) == []


def test_the_fastest_of_workloads_that_do_the_same_come_nearest_first(storage: Storage) -> None:
    stock(storage, 0)
    sizes = {1: 64.0, 2: 8.0, 3: 10.0}
    alike = {n: replace(workload(n), name=workload(0).name, flops=flops) for n, flops in sizes.items()}
    storage.workloads.put([*alike.values(), replace(workload(4), flops=8.0)])
    own = replace(workload(9), name=workload(0).name, flops=9.0)
    storage.workloads.put([own])
    storage.trials.record(
        [
            *(ok(10 * n + k, float(k), of=n) for n in sizes for k in (3, 1, 2)),
            failed(40, of=2),
            ok(41, 0.1, of=2, on=GPU),
            ok(42, 0.1, of=4),
        ]
    )
    found = storage.seeds.fastest_related(own.hash, CPU.device_class, 2)
    assert [(w.hash, r.candidate.hash) for w, r in found] == [
        (alike[n].hash, f"candidate-{10 * n + k}") for n in (3, 2, 1) for k in (1, 2)
    ]
    assert storage.seeds.fastest_related("unknown", CPU.device_class, 2) == []


def test_trials_are_counted_by_workload_and_device_class(storage: Storage) -> None:
    stock(storage, 0, 1)
    storage.trials.record([ok(1, 1.0), failed(2), ok(1, 1.0, of=1), ok(3, 1.0, on=GPU)])
    h0, h1 = workload(0).hash, workload(1).hash
    pairs = [(h0, "cpu-a-2"), (h1, "cpu-a-2"), (h0, "gpu-b"), (h1, "gpu-b"), ("unknown", "cpu-a-2")]
    assert storage.trials.counts(pairs) == dict(zip(pairs, (2, 1, 1, 0, 0), strict=True))
    many = [(f"unknown-{n}", "cpu-a-2") for n in range(1500)]
    assert storage.trials.counts([*many, (h0, "cpu-a-2")])[h0, "cpu-a-2"] == 2


def test_trials_of_a_campaign_are_paged_and_filtered(storage: Storage) -> None:
    stock(storage)
    campaign_id = campaign(storage)
    storage.trials.record([ok(100, 1.0)])
    for n in range(5):
        storage.trials.record(
            [(failed if n % 2 else lambda n, **k: ok(n, 1.0, **k))(n, campaign=campaign_id)]
        )
    names = [row.candidate for row in storage.trials.of_campaign(campaign_id)]
    assert names == [f"candidate-{n}" for n in range(5)]
    page = storage.trials.of_campaign(campaign_id, limit=2, offset=1)
    assert [row.candidate for row in page] == names[1:3]
    assert [row.candidate for row in storage.trials.of_campaign(campaign_id, after_id=page[-1].id)] == names[
        3:
    ]
    assert [row.candidate for row in storage.trials.of_campaign(campaign_id, offset=4)] == names[4:]
    assert len(storage.trials.of_campaign(campaign_id, state=TrialState.BUILD_ERROR)) == 2


def test_the_progress_of_a_task_is_derived_from_the_trials(storage: Storage) -> None:
    stock(storage, 0, 1)
    before = campaign(storage)
    storage.trials.record([ok(1, 4.0, campaign=before), failed(2, campaign=before), ok(3, 9.0)])
    campaign_id = campaign(storage)
    plan = [task(1), task(0, stored=3), task(0, on=GPU)]
    assert storage.tasks.put(campaign_id, plan) == 3
    storage.trials.record(
        [ok(4, 3.0, campaign=campaign_id), failed(5, campaign=campaign_id), failed(6, campaign=campaign_id)]
    )
    untouched, tuned, elsewhere = storage.tasks.of_campaign(campaign_id)
    assert (untouched.workload_name, untouched.stored, untouched.measured, untouched.best_s) == (
        "conv1",
        0,
        0,
        None,
    )
    assert (tuned.stored, tuned.stored_failures, tuned.measured, tuned.measured_failures) == (6, 3, 3, 2)
    assert (tuned.stored_before, tuned.best_s, tuned.budget, tuned.weight) == (3, 3.0, 32, 1)
    best = storage.trials.best(workload().hash, CPU.device_class)[0]
    assert (tuned.best_trial_id, tuned.best_at) == (best.id, best.created_at)
    assert (elsewhere.device_class, elsewhere.stored, elsewhere.best_at) == ("gpu-b", 0, None)


def test_planning_again_keeps_what_was_reached(storage: Storage) -> None:
    stock(storage, 0, 1)
    campaign_id = campaign(storage)
    storage.tasks.put(campaign_id, [task(0, stored=1)])
    (row,) = storage.tasks.of_campaign(campaign_id)
    storage.tasks.update(row.id, state=TaskState.PLATEAUED, note="no gain in 64")
    assert storage.tasks.put(campaign_id, [task(0, stored=20), task(1)]) == 1
    assert storage.tasks.put(campaign_id, []) == 0
    kept, new = storage.tasks.of_campaign(campaign_id)
    assert (kept.state, kept.note, kept.stored_before) == (TaskState.PLATEAUED, "no gain in 64", 1)
    assert new.state is TaskState.OPEN
    storage.tasks.update(new.id, budget=8)
    assert storage.tasks.of_campaign(campaign_id)[1].budget == 8
    with pytest.raises(NotFoundError):
        storage.tasks.update(99, note="x")
    with pytest.raises(NotFoundError):
        storage.tasks.put(campaign_id, [task(7)])


def test_the_best_of_a_whole_model_in_the_models_order(storage: Storage) -> None:
    model_id = stock(storage, 2, 0, 1)
    storage.trials.record([ok(1, 2.0, of=0), ok(2, 1.0, of=0), failed(3, of=0), failed(4, of=1)])
    storage.trials.record([ok(5, 0.001, of=2, on=GPU)])
    rows = storage.trials.best_for_model(model_id, CPU.device_class, "0.27.0")
    assert [(r.name, r.weight, r.flops, r.trials, r.failures) for r in rows] == [
        ("task2", 3, 3e6, 0, 0),
        ("task0", 1, 1e6, 3, 1),
        ("task1", 2, 2e6, 1, 1),
    ]
    assert [r.best and (r.best.candidate, r.best.workload_hash, r.best.trace) for r in rows] == [
        None,
        ("candidate-2", workload(0).hash, '[["trace", 2]]'),
        None,
    ]


def test_the_best_of_a_model_without_tasks_is_nothing_and_of_an_unknown_one_an_error(
    storage: Storage,
) -> None:
    stock(storage)
    model_id = storage.models.put(model(1), "/b.onnx")
    storage.extractions.put(model_id, "metaschedule", CPU.target, extraction())
    assert storage.trials.best_for_model(model_id, CPU.device_class, "0.27.0") == []
    for missing in ((model_id, GPU.device_class, "0.27.0"), (model_id, CPU.device_class, "0.28.0")):
        with pytest.raises(NotFoundError, match="was not extracted"):
            storage.trials.best_for_model(*missing)
    with pytest.raises(NotFoundError, match="no device class"):
        storage.trials.best_for_model(model_id, "nothing", "0.27.0")


def test_a_verification_is_found_by_the_records_it_used(storage: Storage) -> None:
    model_id = stock(storage)
    first, second = records_key([1, 2]), records_key([3])
    for key, tuned_s in ((first, 0.5), (second, 0.25)):
        storage.verifications.put(
            NewVerification(
                model_id, CPU.device_class, key, 1.0, tuned_s, 0.3, 1e-6, None, 2, 1, details={"runs": 3}
            )
        )
    latest = storage.verifications.latest(model_id, CPU.device_class)
    assert latest is not None
    assert (latest.tuned_s, latest.details, latest.max_rel) == (0.25, {"runs": 3}, None)
    earlier = storage.verifications.of_records(model_id, CPU.device_class, records_key([2, 1, 2]))
    assert earlier is not None
    assert earlier.tuned_s == 0.5
    assert storage.verifications.of_records(model_id, CPU.device_class, records_key([])) is None
    assert storage.verifications.latest(model_id, GPU.device_class) is None
    storage.verifications.put(NewVerification(stock(storage, 1), GPU.device_class, first, tuned_s=2.0))
    kept = storage.verifications.recent([model_id], CPU.device_class)
    assert [row.tuned_s for row in kept] == [0.25, 0.5]
    assert storage.verifications.recent([model_id], CPU.device_class, limit=1) == kept[:1]
    assert storage.verifications.recent([], CPU.device_class) == []


def test_another_version_of_a_model_has_its_name_and_takes_and_returns_the_same(storage: Storage) -> None:
    first = storage.models.put(model(1), "/a.onnx")
    trained = storage.models.put(replace(model(1), sha256="a" * 64), "/a.onnx")
    storage.models.put(replace(model(1), sha256="b" * 64, name="another"), "/b.onnx")
    resized = (replace(model(1).inputs[0], shape=(7, 7)),)
    storage.models.put(replace(model(1), sha256="c" * 64, inputs=resized), "/a.onnx")
    assert storage.models.alike(first) == [first, trained]
    assert storage.models.alike(trained) == [trained, first]
