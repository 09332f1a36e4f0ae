"""Measurements of trials: each stored once, none lost, and the right one of them counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from importlib import metadata
from typing import Any

import pytest
from sqlalchemy import text, update

from orchestrator.errors import LeaseLostError, NotFoundError
from orchestrator.storage import (
    PACK,
    MeasurementKind,
    MeasurementRow,
    NewMeasurement,
    Storage,
    TrialRow,
    toolchain_key,
    toolchain_text,
)
from orchestrator.storage._tables import Measurement as MeasurementTable
from tests.kit.storage_builders import CPU, GPU, campaign, failed, ok, stock, task, workload
from workers.messages import Measurement, TrialState

PAIR = (workload().hash, CPU.device_class)
OLD: dict[str, str] = {"tvm": "0.27"}
NEW: dict[str, str] = {"tvm": "0.28"}
AGAIN, REVALIDATED = MeasurementKind.AGAIN, MeasurementKind.REVALIDATED


def later(
    n: int,
    *seconds: float,
    kind: MeasurementKind = REVALIDATED,
    versions: Mapping[str, str] = NEW,
    token: str = "later",
    message: str = "",
) -> NewMeasurement:
    """Make another measurement of a candidate; one that failed where it has no seconds."""
    state = TrialState.OK if seconds else TrialState.BUILD_ERROR
    measured = Measurement(state, seconds, message, "cpu:1", "host-b", 0.7)
    return NewMeasurement(*PAIR, f"candidate-{n}", measured, kind, token, versions, 0.3)


def of_pack(storage: Storage, n: int, *seconds: float, state: TrialState = TrialState.OK) -> TrialRow:
    """Make the copy of a trial as others measured it and signed it: some time ago, as far as they say."""
    page = next(iter(storage.trials.pages(page=1)))
    mine = page[0].measurements[0]
    theirs = replace(
        mine, state=state, times=seconds, token=f"pack-{n}", versions={**mine.versions, PACK: "SHA256:lab"}
    )
    return replace(page[0], candidate=f"candidate-{n}", trace=f'[["trace", {n}]]', measurements=(theirs,))


def mark_wrong(storage: Storage, n: int) -> None:
    where: dict[str, Any] = {"versions": OLD, "device": "cpu:0", "host": "host-a"}
    assert storage.trials.mark_wrong(*PAIR, f"candidate-{n}", "it is wrong", **where) is not None


def measured(storage: Storage, place: int = 0) -> list[MeasurementRow]:
    trial = storage.trials.of_workload(*PAIR)[place]
    return storage.measurements.of_trial(trial.id)


def costs(storage: Storage) -> dict[str, tuple[float | None, bool]]:
    """What the trials of the workload cost, and which of them are stale."""
    return {row.candidate: (row.cost_s, row.stale) for row in storage.trials.of_workload(*PAIR)}


def test_a_trial_comes_with_its_measurement_and_a_repeated_report_adds_neither(storage: Storage) -> None:
    stock(storage)
    batch = [ok(1, 2.0), failed(2)]
    assert storage.trials.record(batch) == 2
    assert storage.trials.record(batch) == 0
    # Nor does a late one, of another attempt.
    assert storage.trials.record([ok(1, 9.0)]) == 0
    (first,), (second,) = measured(storage), measured(storage, 1)
    assert (first.kind, first.state, first.times, first.token) == (
        MeasurementKind.FULL,
        TrialState.OK,
        ok(1, 2.0).measurement.times,
        "token-1",
    )
    assert (first.device, first.host, first.build_s, first.run_s, first.counts) == (
        "cpu:0",
        "host-a",
        0.2,
        0.5,
        True,
    )
    assert first.versions == {"tvm": "0.27", "tunefleet": metadata.version("tunefleet")}
    assert (second.state, second.times, second.message) == (TrialState.BUILD_ERROR, (), "it failed: 2")


def test_all_measurements_of_a_trial_are_kept_and_the_latest_counts(storage: Storage) -> None:
    stock(storage)
    campaign_id = campaign(storage, owner="me", ttl_s=60.0)
    lease = {"campaign_id": campaign_id, "owner": "me"}
    storage.trials.record([ok(1, 1.0), ok(2, 1.1)])
    again = [
        later(1, 1.2, 1.3, 1.4, kind=AGAIN, versions=OLD),
        later(9, 0.1, kind=AGAIN, versions=OLD),  # which nobody recorded
    ]
    assert storage.measurements.add(again, **lease) == 1  # type: ignore[arg-type]
    assert storage.measurements.add(again, **lease) == 0  # type: ignore[arg-type]
    assert storage.measurements.add([]) == 0
    second, first = storage.trials.best(*PAIR, 5)
    assert (first.candidate, first.cost_s, first.kind, first.times) == (
        "candidate-1",
        1.3,
        AGAIN,
        (1.2, 1.3, 1.4),
    )
    assert (first.device, first.host, first.run_s, first.token) == ("cpu:1", "host-b", 0.7, "later")
    assert (second.candidate, second.cost_s, second.kind) == ("candidate-2", 1.1, MeasurementKind.FULL)
    assert [(one.cost_s, one.counts) for one in measured(storage)] == [(1.0, False), (1.3, True)]
    storage.measurements.add([later(1, 0.9, kind=AGAIN, versions=OLD, token="once more")])
    assert [one.counts for one in measured(storage)] == [False, False, True]
    assert storage.trials.best(*PAIR)[0].cost_s == 0.9
    with pytest.raises(ValueError, match="its times are"):
        storage.measurements.add([later(1, float("nan"), kind=AGAIN)])
    storage.leases.take_over(campaign_id, "you", "me", 60.0)
    with pytest.raises(LeaseLostError):
        storage.measurements.add([later(1, 0.5, token="x")], **lease)  # type: ignore[arg-type]
    assert len(measured(storage)) == 3


def test_what_is_measured_after_the_clock_was_set_back_is_later_all_the_same(storage: Storage) -> None:
    stock(storage)
    storage.trials.record([ok(1, 1.0)])
    (first,) = measured(storage)
    # As if the clock had been an hour ahead by then.
    ahead = first.measured_at + timedelta(hours=1)
    table: Any = MeasurementTable.__table__
    storage.database.write(lambda c: c.execute(update(table).values(measured_at=ahead)))
    storage.measurements.add([later(1, 1.3, kind=AGAIN, versions=OLD)])
    storage.measurements.add([later(1, 1.2, kind=AGAIN, versions=OLD, token="last")])
    assert costs(storage) == {"candidate-1": (1.2, False)}
    assert [one.measured_at for one in measured(storage)] == [ahead] * 3
    # Once the clock has got there, it is what the clock says.
    behind = first.measured_at - timedelta(hours=1)
    storage.database.write(lambda c: c.execute(update(table).values(measured_at=behind)))
    storage.measurements.add([later(1, 1.1, kind=AGAIN, versions=OLD, token="now")])
    assert measured(storage)[-1].measured_at >= first.measured_at
    assert costs(storage) == {"candidate-1": (1.1, False)}


def test_neither_a_short_look_nor_a_failure_takes_the_place_of_what_was_timed_in_full(
    storage: Storage,
) -> None:
    stock(storage)
    storage.trials.record([ok(1, 1.0)])
    short = later(1, 0.1, kind=MeasurementKind.SHORT, versions=OLD, token="short")
    storage.measurements.add([short, later(1, kind=AGAIN, versions=OLD, token="failed")])
    assert [one.counts for one in measured(storage)] == [True, False, False]
    assert costs(storage) == {"candidate-1": (1.0, False)}


def test_what_a_trial_was_recorded_with_says_how_it_was_timed(storage: Storage) -> None:
    stock(storage)
    looked = Measurement(TrialState.OK, (3.0,), "not timed in full: 3 times the best")
    short = ok(1, 3.0)
    storage.trials.record([type(short)(**{**vars(short), "measurement": looked})])
    told = {**vars(ok(2, 1.0)), "kind": MeasurementKind.IMPORTED}
    storage.trials.record([type(short)(**told)])
    assert [row.kind for row in storage.trials.of_workload(*PAIR)] == [
        MeasurementKind.SHORT,
        MeasurementKind.IMPORTED,
    ]


def test_another_toolchain_makes_stale_what_was_measured_before(storage: Storage) -> None:
    model_id = stock(storage)
    storage.trials.record([ok(1, 1.0), ok(2, 2.0), failed(3), ok(4, 9.0, on=GPU)])
    before = storage.toolchains.current_key(CPU.device_class)
    assert before == toolchain_key(OLD)
    assert storage.toolchains.adopt(CPU.device_class, NEW) == toolchain_key(NEW)
    assert storage.toolchains.current_key(CPU.device_class) == toolchain_key(NEW)
    # They are still the best there are, and say what they are.
    best = storage.trials.best(*PAIR, 2)
    assert [(row.candidate, row.stale) for row in best] == [("candidate-1", True), ("candidate-2", True)]
    assert storage.trials.best(*PAIR, 2, stale=False) == []
    (row,) = storage.trials.best_for_model(model_id, CPU.device_class, "0.27.0")
    assert row.best is not None
    assert (row.best.candidate, row.best.stale, row.stale, row.trials) == ("candidate-1", True, 3, 3)
    # On the other device nothing has changed.
    assert [row.stale for row in storage.trials.best(workload().hash, GPU.device_class)] == [False]
    # What is measured now is better than anything that is stale.
    slower = {**vars(ok(5, 7.0)), "versions": NEW}
    storage.trials.record([type(ok(5, 7.0))(**slower)])
    best = storage.trials.best(*PAIR, 3)
    assert [(row.candidate, row.stale) for row in best] == [
        ("candidate-5", False),
        ("candidate-1", True),
        ("candidate-2", True),
    ]
    (row,) = storage.trials.best_for_model(model_id, CPU.device_class, "0.27.0")
    assert row.best is not None
    assert (row.best.candidate, row.best.stale) == ("candidate-5", False)
    assert storage.answers.best()[0].trial_id in {one.id for one in best} | {4}
    assert [record.candidate.hash for record in storage.seeds.fastest(*PAIR)] == [
        "candidate-5",
        "candidate-1",
        "candidate-2",
    ]


def test_who_asks_with_another_toolchain_is_told_what_is_stale_for_them(storage: Storage) -> None:
    model_id = stock(storage)
    storage.trials.record([ok(1, 1.0)])
    key = toolchain_key(NEW)
    (row,) = storage.trials.best_for_model(model_id, CPU.device_class, "0.27.0", toolchain=key)
    assert row.best is not None
    assert (row.best.stale, row.stale) == (True, 1)
    assert [row.stale for row in storage.trials.best(*PAIR, toolchain=key)] == [True]
    (standing,) = storage.tasks.standings([PAIR], toolchains={CPU.device_class: key})
    assert (standing.stored, standing.stale) == (0, 1)
    # To ask changes nothing.
    assert [row.stale for row in storage.trials.best(*PAIR)] == [False]


def test_only_what_was_measured_with_the_current_toolchain_counts_toward_a_budget(storage: Storage) -> None:
    stock(storage)
    campaign_id = campaign(storage)
    storage.tasks.put(campaign_id, [task()])
    storage.trials.record([ok(1, 1.0, campaign=campaign_id), failed(2, campaign=campaign_id)])
    storage.toolchains.adopt(CPU.device_class, NEW)
    (standing,) = storage.tasks.standings([PAIR])
    assert (standing.stored, standing.since_best, standing.stale) == (0, 0, 1)
    (row,) = storage.tasks.of_campaign(campaign_id)
    assert (row.stored, row.stored_failures, row.stale, row.measured) == (0, 0, 2, 2)
    assert (row.best_s, row.best_stale) == (1.0, True)
    storage.measurements.add([later(1, 3.0)])
    (row,) = storage.tasks.of_campaign(campaign_id)
    assert (row.stored, row.stale, row.best_s, row.best_stale) == (1, 1, 3.0, False)


def test_at_most_so_many_of_a_task_are_revalidated_and_another_may_win(storage: Storage) -> None:
    stock(storage)
    storage.trials.record([ok(n, 1.0 + n / 10) for n in range(6)])
    assert storage.seeds.to_revalidate(*PAIR, 3) == []
    storage.toolchains.adopt(CPU.device_class, NEW)
    wanted = storage.seeds.to_revalidate(*PAIR, 3)
    assert [one.hash for one in wanted] == ["candidate-0", "candidate-1", "candidate-2"]
    # The old winner is slow now, the next can't be built any more, the third is as it was.
    storage.measurements.add([later(0, 2.0), later(1), later(2, 1.25)])
    assert storage.seeds.to_revalidate(*PAIR, 3) == []
    assert [one.hash for one in storage.seeds.to_revalidate(*PAIR, 4)] == ["candidate-3"]
    best = storage.trials.best(*PAIR, 3)
    assert [(row.candidate, row.cost_s, row.stale) for row in best] == [
        ("candidate-2", 1.25, False),
        ("candidate-0", 2.0, False),
        ("candidate-3", 1.3, True),
    ]
    assert costs(storage)["candidate-1"] == (None, False)
    assert [one.cost_s for one in measured(storage, 1)] == [1.1, None]


def test_what_a_pack_claims_to_be_faster_is_measured_however_much_was_measured_here(storage: Storage) -> None:
    stock(storage)
    storage.trials.record([ok(n, 1.0 + n / 10) for n in range(3)])
    claims = {4: 0.9, 5: 0.5, 6: 1.05, 7: 0.7}
    storage.trials.record_copies([of_pack(storage, n, seconds) for n, seconds in claims.items()])
    # The fastest first, and none that even its signer calls slower than the best here.
    assert [one.hash for one in storage.seeds.to_revalidate(*PAIR, 2)] == ["candidate-5", "candidate-7"]
    wanted = ["candidate-5", "candidate-7", "candidate-4"]
    assert [one.hash for one in storage.seeds.to_revalidate(*PAIR, 5)] == wanted
    assert storage.seeds.to_revalidate(*PAIR, 0) == []
    assert [one.hash for one in storage.seeds.to_revalidate(*PAIR, 3)] == wanted
    # One of them holds its promise, in part.
    storage.measurements.add([later(n, 0.8 if n == 7 else 3.0, versions=OLD) for n in (5, 7, 4)])
    assert storage.seeds.to_revalidate(*PAIR, 3) == []
    assert storage.trials.best(*PAIR)[0].candidate == "candidate-7"


def test_who_goes_back_to_a_toolchain_finds_what_was_measured_with_it(storage: Storage) -> None:
    stock(storage)
    storage.trials.record([ok(1, 1.0), ok(2, 1.1)])
    storage.toolchains.adopt(CPU.device_class, NEW)
    storage.measurements.add([later(1, 5.0)])
    assert costs(storage) == {"candidate-1": (5.0, False), "candidate-2": (1.1, True)}
    storage.toolchains.adopt(CPU.device_class, OLD)
    assert costs(storage) == {"candidate-1": (1.0, False), "candidate-2": (1.1, False)}
    storage.toolchains.adopt(CPU.device_class, NEW)
    assert costs(storage) == {"candidate-1": (5.0, False), "candidate-2": (1.1, True)}
    with pytest.raises(NotFoundError, match="no device class tpu"):
        storage.toolchains.adopt("tpu", NEW)


def test_toolchains_are_told_apart_by_what_times_depend_on() -> None:
    here = {"tvm": "0.27.0", "llvm": "22", "engine": "tvm-0.27.0-12", "kernels": "1", "tunefleet": "0.1"}
    key = toolchain_key(here)
    # Another release of this project, or another import of models, makes nothing stale; nor does what was
    # recorded before engines told how they make code of a schedule.
    assert toolchain_key({**here, "tunefleet": "0.2", "engine": "tvm-0.27.0-13"}) == key
    assert toolchain_key({"tvm": "0.27.0", "llvm": "22", "engine": "tvm-0.27.0-12"}) == key
    others = [{"tvm": "0.28.0"}, {"llvm": "23"}, {"kernels": "2"}, {"driver": "550.54"}, {"gcc": "12"}]
    assert len({toolchain_key({**here, **other}) for other in others} | {key}) == 6
    # Where nothing is said of a compiler, it is none that is known.
    assert toolchain_key({"tvm": "0.27.0"}) != key
    assert toolchain_text(here) == "TVM 0.27.0, LLVM 22"
    assert toolchain_text({"engine": "toy-1"}) == "unknown"


def test_toolchains_are_kept_with_all_that_was_said_of_them(storage: Storage) -> None:
    stock(storage)
    storage.trials.record([ok(1, 1.0)])
    versions = {"tvm": "0.28.0", "llvm": "23", "engine": "tvm-0.28.0-1", "kernels": "2", "driver": "550.54"}
    storage.toolchains.adopt(CPU.device_class, versions)
    first, second = storage.toolchains.all()
    assert (first.tvm, first.llvm, first.driver) == ("0.27", "", "")
    assert (second.tvm, second.llvm, second.engine, second.kernels, second.driver, second.tunefleet) == (
        "0.28.0",
        "23",
        "tvm-0.28.0-1",
        "2",
        "550.54",
        metadata.version("tunefleet"),
    )
    assert storage.toolchains.find(toolchain_key(versions)) == second
    assert storage.toolchains.find("none") is None
    assert str(second) == "TVM 0.28.0, LLVM 23, kernels 2, driver 550.54"


def test_what_computes_something_else_is_out_whatever_it_is_measured_with(storage: Storage) -> None:
    stock(storage)
    storage.trials.record([ok(1, 1.0), ok(2, 2.0)])
    mark_wrong(storage, 1)
    storage.toolchains.adopt(CPU.device_class, NEW)
    assert [one.hash for one in storage.seeds.to_revalidate(*PAIR, 3)] == ["candidate-2"]
    storage.measurements.add([later(1, 0.5)])
    assert costs(storage)["candidate-1"] == (None, True)
    assert [row.candidate for row in storage.trials.best(*PAIR, 3)] == ["candidate-2"]


def test_what_others_call_wrong_does_not_outrank_what_was_measured_here(storage: Storage) -> None:
    stock(storage)
    storage.trials.record([ok(1, 1.0)])
    wrong = of_pack(storage, 1, state=TrialState.WRONG_OUTPUT)
    copied = storage.trials.record_copies([wrong])
    assert (copied.trials, copied.measurements) == (0, 1)
    assert costs(storage) == {"candidate-1": (1.0, False)}
    # With another toolchain neither is of it, and what was measured here still counts.
    storage.toolchains.adopt(CPU.device_class, NEW)
    storage.measurements.add([later(1, kind=AGAIN, versions={"tvm": "0.26"}, token="older")])
    assert costs(storage) == {"candidate-1": (1.0, True)}
    # Who has nothing but theirs takes their word for it, until something is known here.
    theirs = [of_pack(storage, 2, 0.5), replace(of_pack(storage, 2), measurements=wrong.measurements)]
    storage.trials.record_copies(theirs)
    assert costs(storage)["candidate-2"] == (None, True)
    storage.measurements.add([later(2, 2.0)])
    assert costs(storage)["candidate-2"] == (2.0, False)
    # What was compared here is out, whatever they say.
    mark_wrong(storage, 2)
    assert costs(storage)["candidate-2"][0] is None


def test_what_is_pruned_goes_with_its_measurements(storage: Storage) -> None:
    stock(storage)
    storage.trials.record([ok(1, 1.0), ok(2, 2.0), ok(3, 3.0)])
    storage.measurements.add([later(2, 2.5, versions=OLD)])
    storage.toolchains.adopt(CPU.device_class, NEW)
    storage.measurements.add([later(3, 4.0, token="new")])
    counts = storage.upkeep.statistics().classes[0]
    assert (counts.trials, counts.stale, counts.toolchain) == (3, 2, toolchain_key(NEW))
    # Of each toolchain the fastest stays.
    storage.upkeep.prune(keep=1)
    assert costs(storage) == {"candidate-1": (1.0, True), "candidate-3": (4.0, False)}
    left = storage.database.read(lambda c: c.execute(text("SELECT count(*) FROM measurements")).scalar_one())
    assert left == 3
