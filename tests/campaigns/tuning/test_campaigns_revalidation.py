"""Records of another toolchain: a few of each task are measured before anything else, and no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.campaigns.scheduling.alone import tune_alone
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning import again, patience
from orchestrator.campaigns.tuning.actions import Build, Measure, OpenSearch, RecordRevalidation
from orchestrator.campaigns.tuning.events import Built, Measured
from orchestrator.campaigns.tuning.machine import Machine
from orchestrator.campaigns.tuning.tuner import Tuning
from orchestrator.errors import StorageError
from orchestrator.records.jsonl_read import import_records
from orchestrator.storage import MeasurementKind, NewMeasurement, NewTrial, Storage, TaskState
from orchestrator.storage.measurements import Measurements
from tests.kit.machine_driver import Driver, candidate, good, lost, task
from tests.kit.planned_campaigns import CPU, OWNER, plan, workload
from tests.kit.stand_in_fleet import Simulated
from workers.messages import Candidate, Measurement, TrialState

STALE = tuple(candidate(n) for n in (901, 902, 903))
OLD, NEW = {"tvm": "0.26"}, {"tvm": "0.27"}


def failing() -> Measurement:
    return Measurement(TrialState.BUILD_ERROR, message="no such intrinsic")


def revalidated(driver: Driver) -> list[tuple[str, TrialState]]:
    return [
        (action.candidate.hash, action.measurement.state)
        for action in driver.actions
        if isinstance(action, RecordRevalidation)
    ]


# -- the machine


def test_a_search_begins_when_the_old_best_have_been_measured() -> None:
    driver = Driver(Machine("m", [task(budget=8, stale=STALE), task(2, budget=8)]))
    driver.run()
    began = [type(action) for action in driver.actions].index(OpenSearch)
    assert driver.actions[began] == OpenSearch(2)
    own = driver.actions.index(OpenSearch(1))
    assert own > max(n for n, action in enumerate(driver.actions) if isinstance(action, RecordRevalidation))
    assert revalidated(driver) == [(one.hash, TrialState.OK) for one in STALE]
    # They are three of its eight trials.
    assert (len(driver.recorded(1)), len(driver.recorded(2))) == (5, 8)
    assert driver.ends[1].state is TaskState.SATISFIED


def test_they_are_timed_in_full_and_the_best_of_them_is_the_time_to_beat() -> None:
    machine = Machine("m", [task(budget=4, stale=STALE)])
    driver = Driver(machine)
    to_beat = []
    seconds = iter((3.0, 2.0, 5.0, 1.0))
    while (action := driver.next()) is not None:
        if isinstance(action, Measure):
            to_beat.append(action.best_known_s)
            driver.handle(Measured(action.token, good(next(seconds))))
        else:
            driver.handle(driver.answer(action))
    assert to_beat == [float("inf")] * 3 + [2.0]


def test_one_that_fails_is_recorded_and_one_whose_device_was_lost_stays_as_it_was() -> None:
    machine = Machine("m", [task(budget=8, stale=STALE)])
    driver = Driver(machine)
    while (action := driver.next()) is not None:
        if isinstance(action, Build) and action.candidate == STALE[0]:
            driver.handle(Built(action.token, 0.1, failing()))
        elif isinstance(action, Measure) and action.candidate == STALE[1]:
            driver.handle(Measured(action.token, lost()))
        else:
            driver.handle(driver.answer(action))
    assert revalidated(driver) == [(STALE[0].hash, TrialState.BUILD_ERROR), (STALE[2].hash, TrialState.OK)]
    assert len(driver.recorded(1)) == 6


def too_long(state: TrialState) -> Measurement:
    return Measurement(state, message="killed after 30 s")


# The first time something may have been in its way; the second it stays as it was.
@pytest.mark.parametrize(("times", "known"), [(1, 3), (2, 2)])
@pytest.mark.parametrize("state", [TrialState.BUILD_TIMEOUT, TrialState.RUN_TIMEOUT])
def test_what_takes_too_long_is_tried_twice_and_is_no_failure(
    state: TrialState, times: int, known: int
) -> None:
    driver = Driver(Machine("m", [task(budget=8, stale=STALE)]))
    hindered = 0
    while (action := driver.next()) is not None:
        mine = isinstance(action, Build | Measure) and action.candidate == STALE[1] and hindered < times
        if mine and isinstance(action, Build) and state is TrialState.BUILD_TIMEOUT:
            hindered += 1
            driver.handle(Built(action.token, 30.0, too_long(state)))
        elif mine and isinstance(action, Measure) and state is TrialState.RUN_TIMEOUT:
            hindered += 1
            driver.handle(Measured(action.token, too_long(state)))
        else:
            driver.handle(driver.answer(action))
    assert hindered == times
    found = revalidated(driver)
    assert {state for _, state in found} == {TrialState.OK}
    assert (len(found), len(driver.recorded(1))) == (known, 8 - known)


def test_a_budget_that_is_smaller_gets_no_more_than_it_has() -> None:
    driver = Driver(Machine("m", [task(budget=2, stale=STALE)]))
    driver.run()
    assert [name for name, _ in revalidated(driver)] == [STALE[0].hash, STALE[1].hash]
    assert driver.recorded(1) == []
    assert driver.ends[1].state is TaskState.SATISFIED


# Near its end, what is built is measured all the same.
@pytest.mark.parametrize(("how", "measured"), [("stop", 1), ("wind_up", 3)])
def test_a_campaign_that_ends_meanwhile_begins_nothing_more(how: str, measured: int) -> None:
    machine = Machine("m", [task(budget=8, stale=STALE)])
    driver = Driver(machine)
    measuring = driver.until(Measure)
    getattr(machine, how)()
    driver.handle(driver.answer(measuring))
    driver.run()
    assert machine.done
    assert revalidated(driver) == [(one.hash, TrialState.OK) for one in STALE[:measured]]
    assert driver.recorded(1) == []


def test_what_was_not_built_by_the_end_is_dropped() -> None:
    machine = Machine("m", [task(budget=8, stale=STALE)])
    machine.wind_up()
    driver = Driver(machine)
    driver.run()
    assert (machine.done, revalidated(driver), driver.recorded(1)) == (True, [], [])


# -- with a store, on a fleet of another toolchain than before


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(str(tmp_path / "records.db")) as opened:
        yield opened


def measured_before(store: Storage, *numbers: int) -> None:
    """Store six trials of each task, measured with the toolchain before."""
    store.device_classes.put("plain", CPU)
    store.workloads.put([workload(n) for n in numbers])
    store.trials.record(
        [
            NewTrial(
                workload(number).hash,
                CPU.device_class,
                Candidate(f"old-{n}", f"trace {n}"),
                Measurement(TrialState.OK, (0.1 * (1 + n),)),
                versions=OLD,
                token=f"{number}-{n}",
            )
            for number in numbers
            for n in range(6)
        ]
    )


def campaign(store: Storage, fleet: Simulated, *numbers: int, **changes: object) -> Tuning:
    spec = CampaignSpec.of({"models": [{"path": "/model.onnx"}], "trials_per_task": 10, **changes})
    measured_before(store, *numbers)
    store.toolchains.adopt(CPU.device_class, NEW)
    number, planned = plan(store, spec, numbers)
    tuning = Tuning(store, number, OWNER, spec, planned, lambda _: None, lambda: None)
    tune_alone(store, fleet.fleet, tuning, lambda: False)
    return tuning


def test_at_most_three_of_a_task_are_measured_anew_and_the_winner_changes(store: Storage) -> None:
    fleet = Simulated()
    # With the new toolchain, in the order in which they come: what was second is the best now, by far.
    fleet.measurement = lambda number: Measurement(TrialState.OK, ((0.6, 0.05, 0.7)[(number - 1) % 3],))
    tuning = campaign(store, fleet, 1, trials_per_task=3)
    assert (tuning.revalidated, tuning.recorded) == (3, 0)
    rows = store.trials.best(workload(1).hash, CPU.device_class, 6)
    assert [(row.candidate, row.cost_s, row.stale) for row in rows] == [
        ("old-1", 0.05, False),
        ("old-0", 0.6, False),
        ("old-2", 0.7, False),
        ("old-3", pytest.approx(0.4), True),
        ("old-4", pytest.approx(0.5), True),
        ("old-5", pytest.approx(0.6), True),
    ]
    first, again = store.measurements.of_trial(rows[0].id)
    assert (first.versions["tvm"], again.versions["tvm"]) == ("0.26", "0.27")
    assert (again.kind, again.counts) == (MeasurementKind.REVALIDATED, True)
    # Another campaign has them, and measures none anew.
    assert campaign(store, Simulated(), 1, trials_per_task=3).revalidated == 0


def test_the_rest_of_the_budget_is_searched_from_what_was_good_before(store: Storage) -> None:
    fleet = Simulated()
    tuning = campaign(store, fleet, 1, 2)
    assert (tuning.revalidated, tuning.recorded) == (6, 14)
    # Each search begins with all that is known, whatever it was measured with.
    assert fleet.histories == [6, 6]
    states = Counter(
        row.stale for n in (1, 2) for row in store.trials.of_workload(workload(n).hash, CPU.device_class)
    )
    assert states == {True: 6, False: 20}


@pytest.mark.parametrize("kind", [MeasurementKind.REVALIDATED, MeasurementKind.AGAIN])
def test_what_no_store_takes_is_kept_in_a_file_and_can_be_imported(
    store: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: MeasurementKind
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(patience, "STORE_PATIENCE_SECONDS", -1.0)
    monkeypatch.setattr(patience, "STORE_PAUSE_SECONDS", 0.0)
    fleet, add = Simulated(), Measurements.add
    # All are level, so that they are timed in turns at the end.
    fleet.measurement = lambda number: Measurement(TrialState.OK, (1.0,))

    def away(self: Measurements, measurements: Sequence[NewMeasurement], **lease: Any) -> int:
        if measurements[0].kind is kind:
            raise StorageError("the database went away")
        return add(self, measurements, **lease)

    monkeypatch.setattr(Measurements, "add", away)
    with pytest.raises(StorageError, match=r"later measurements .* && tunefleet resume \d+") as told:
        campaign(store, fleet, 1, trials_per_task=40)
    monkeypatch.undo()
    (kept,) = (tmp_path / "tunefleet").glob("unstored-*.jsonl")
    assert str(kept) in str(told.value)
    report = import_records(store, kept)
    assert (report.imported, report.stored_before) == (0, report.trials)
    assert report.added == report.trials > 0
    rows = store.trials.of_workload(workload(1).hash, CPU.device_class)
    measured = [one for row in rows for one in store.measurements.of_trial(row.id) if one.kind is kind]
    assert [one.versions["tvm"] for one in measured] == ["0.27"] * report.added


def test_all_files_are_named_that_something_was_put_into(
    store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> int:
        raise StorageError("the first file")

    def end(_: Tuning) -> None:
        raise StorageError("the second file")

    monkeypatch.setattr(patience, "STORE_PATIENCE_SECONDS", -1.0)
    monkeypatch.setattr(patience, "STORE_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(again, "set_aside", lambda *_: "it is kept")
    monkeypatch.setattr(Measurements, "add", away)
    monkeypatch.setattr(Tuning, "end", end)
    with pytest.raises(StorageError, match="the first file\nit is kept\nthe second file"):
        campaign(store, Simulated(), 1)


def test_who_wants_none_of_it_has_all_trials_searched(store: Storage) -> None:
    tuning = campaign(store, Simulated(), 1, revalidate=0)
    assert (tuning.revalidated, tuning.recorded) == (0, 10)
