"""The tuning loop on a real database, with a stand-in for the fleet."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from orchestrator.campaigns.scheduling.alone import tune_alone
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning import ending, patience, results, searching
from orchestrator.campaigns.tuning.tuner import Tuning
from orchestrator.errors import EngineLostError, LeaseLostError, StorageError
from orchestrator.records.jsonl_read import import_records
from orchestrator.storage import CampaignState, MeasurementKind, Storage, TaskState
from tests.kit.planned_campaigns import CPU, OWNER, plan, workload
from tests.kit.stand_in_fleet import Simulated
from workers.messages import Measurement, TrialState

AGAIN = MeasurementKind.AGAIN


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.db"


@pytest.fixture
def store(path: Path) -> Iterator[Storage]:
    with Storage.open(f"sqlite:///{path}", patience_s=0.2) as opened:
        yield opened


def spec(**changes: Any) -> CampaignSpec:
    return CampaignSpec.of({"models": [{"path": "/model.onnx"}], "trials_per_task": 20, **changes})


class Campaign:
    """A campaign and its loop."""

    def __init__(
        self,
        store: Storage,
        fleet: Simulated,
        spec: CampaignSpec,
        *numbers: int,
        transfers: bool = False,
        lends: int = 0,
        until: float | None = None,
    ) -> None:
        self.id, self.plan = plan(store, spec, numbers)
        self.store, self.fleet = store, fleet
        self.said: list[str] = []
        self.hears: Callable[[str], None] = self.said.append
        self.tuning = Tuning(
            store,
            self.id,
            OWNER,
            spec,
            self.plan,
            lambda text: self.hears(text),
            lambda: None,
            transfers=transfers,
            lends=lends,
            until={} if until is None else {self.key: until},
        )

    @property
    def key(self) -> tuple[int, str]:
        (model,) = self.plan.models
        return model.id, model.device.device_class

    def run(self, stopped: Callable[[], bool] = lambda: False) -> Tuning:
        tune_alone(self.store, self.fleet.fleet, self.tuning, stopped)
        return self.tuning

    def stored(self) -> dict[str, int]:
        return {row.name: row.stored for row in self.store.tasks.of_campaign(self.id)}

    def states(self) -> set[TaskState]:
        return {row.state for row in self.store.tasks.of_campaign(self.id)}


def test_every_task_gets_exactly_its_trials_and_each_is_recorded_once(store: Storage) -> None:
    campaign = Campaign(store, Simulated(), spec(), 1, 2, 3)
    assert campaign.run().recorded == 60
    assert campaign.stored() == {"task1": 20, "task2": 20, "task3": 20}
    assert campaign.states() == {TaskState.SATISFIED}
    # The best of the task that takes most time, and the two that come close to it, twice more.
    assert (campaign.fleet.counts["measure"], campaign.fleet.counts["remeasure"]) == (60, 6)
    assert campaign.fleet.sessions == set()


def test_when_it_searched_is_stored(store: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_LEAST_SECONDS", 0.0)
    campaign = Campaign(store, Simulated(), spec(), 1)
    store.campaigns.transition(campaign.id, CampaignState.EXTRACTING, owner=OWNER)
    campaign.run()
    counts = campaign.fleet.counts
    found = store.answers.searches(campaign.id, last=1000)
    assert len(found) == counts["open"] + counts["propose"] + counts["learn"] + counts["train"]
    assert {row.host for row in found} == {"here"}
    assert all(row.took_s >= 0 for row in found)


def test_it_ends_where_its_model_is_fast_enough(store: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(results, "GATHER_SECONDS", 0.0)
    # The stand-in's candidates take 1, 1/2, 1/3 s and so on.
    campaign = Campaign(store, Simulated(), spec(), 1, 2, until=0.5)
    tuning = campaign.run()
    reached = [row.best_s for row in store.tasks.of_campaign(campaign.id)]
    assert sum(best for best in reached if best) <= 0.5
    assert tuning.recorded < 40
    assert tuning.ending.enough.startswith("--until was reached")
    assert tuning.ending.enough in campaign.said
    assert campaign.fleet.sessions == set()


def test_a_trial_is_stored_with_its_times_its_build_and_what_it_ran_on(store: Storage) -> None:
    campaign = Campaign(store, Simulated(), spec(trials=1), 1)
    campaign.run()
    (trial,) = store.trials.of_campaign(campaign.id)
    assert (trial.times, trial.build_s, trial.host) == ((1.0,), 0.1, "here")
    assert trial.versions == {"tvm": "0.27", "tunefleet": metadata.version("tunefleet")}


def test_devices_know_the_time_to_beat_where_candidates_need_no_full_timing(store: Storage) -> None:
    fleet = Simulated()
    Campaign(store, fleet, spec(), 1).run()
    # Each of the stand-in's candidates is faster than the one before.
    assert fleet.to_beat == [None, *(1.0 / number for number in range(1, 20))]
    thorough = Simulated()
    Campaign(store, thorough, spec(full_timing=True), 2).run()
    assert thorough.to_beat == [None] * 20


def test_candidates_are_built_to_be_compared_where_that_is_asked_for(store: Storage) -> None:
    plain, compared = Simulated(), Simulated()
    Campaign(store, plain, spec(), 1).run()
    Campaign(store, compared, spec(verify_candidates=True), 2).run()
    assert set(plain.checked) == {(False, 20.0)}
    # That is three compilations in one.
    assert set(compared.checked) == {(True, 60.0)}


def test_what_was_the_best_by_luck_is_found_out_in_turns_with_its_rivals(store: Storage) -> None:
    fleet = Simulated()
    # Of forty trials two come out at about a second, the others at two; once more they take 1.2 and 1.08 s.
    first = {7: 1.00, 9: 1.05}
    fleet.measurement = lambda number: Measurement(
        TrialState.OK,
        (first.get(number, 2.0),) if number <= 40 else ((1.08, 1.08, 1.08), (1.2, 1.2, 1.2))[number % 2],
    )
    campaign = Campaign(store, fleet, spec(trials_per_task=40), 1)
    assert campaign.run().recorded == 40
    best, second, third = store.trials.best(workload(1).hash, CPU.device_class, 3)
    found = [(trial.kind, trial.times, trial.cost_s) for trial in (best, second)]
    assert found == [(AGAIN, (1.08,) * 6, 1.08), (AGAIN, (1.2,) * 6, 1.2)]
    # What they took at first is kept, and counts no more.
    first_times = [store.measurements.of_trial(trial.id)[0] for trial in (best, second)]
    assert [(one.times, one.counts) for one in first_times] == [((1.05,), False), ((1.0,), False)]
    assert third.kind is MeasurementKind.FULL
    # Another campaign that finds all of it stored measures nothing again.
    idle = Simulated()
    Campaign(store, idle, spec(trials_per_task=40), 1).run()
    assert idle.counts["measure"] == idle.counts["remeasure"] == 0


def test_a_device_that_is_slower_than_it_was_ranks_nothing_anew(store: Storage) -> None:
    fleet = Simulated()
    first = {7: 1.00, 9: 1.05, 11: 1.2}
    fleet.measurement = lambda number: Measurement(
        TrialState.OK, (first.get(number, 2.0),) if number <= 40 else (1.5, 1.5, 1.5)
    )
    Campaign(store, fleet, spec(trials_per_task=40), 1).run()
    assert fleet.counts["remeasure"] == 4
    best = store.trials.best(workload(1).hash, CPU.device_class, 3)
    assert [(trial.cost_s, trial.kind) for trial in best] == [
        (seconds, MeasurementKind.FULL) for seconds in (1.0, 1.05, 1.2)
    ]


def test_a_limited_time_leaves_some_for_measuring_the_best_again(store: Storage) -> None:
    fleet = Simulated()
    campaign = Campaign(store, fleet, spec(trials_per_task=100_000), 1)
    fleet.measurement = lambda number: Measurement(TrialState.OK, (1.0,))
    clock = time.monotonic()
    campaign.tuning.ending.ends_at = clock + 2.0
    campaign.run(lambda: time.monotonic() > clock + 20.0)
    assert time.monotonic() < clock + 10.0
    best = store.trials.best(workload(1).hash, CPU.device_class, 5)
    assert sum(trial.kind is AGAIN for trial in best) == 3


def test_devices_that_share_cores_are_measured_in_turns_with_searching_and_building(store: Storage) -> None:
    # The fleet itself refuses a measurement that is not within a pause.
    campaign = Campaign(store, Simulated(), spec(), 1, 2)
    campaign.run()
    entries = [entry.value for entry in campaign.fleet.happenings]
    turns = [entry for entry in entries if entry in ("pause", "measure", "resume")]
    assert turns[0] == "pause"
    assert turns.count("pause") - turns.count("resume") in (0, 1)
    for before, after in itertools.pairwise(turns):
        assert (before, after) in {
            ("pause", "measure"),
            ("measure", "measure"),
            ("measure", "resume"),
            ("resume", "pause"),
        }


def test_devices_apart_are_measured_without_pausing_anything(store: Storage) -> None:
    campaign = Campaign(store, Simulated(shares_cores=False), spec(), 1, 2)
    assert campaign.run().recorded == 40
    assert "pause" not in campaign.fleet.happenings


def test_what_is_stored_already_counts_and_seeds_the_search(store: Storage) -> None:
    Campaign(store, Simulated(), spec(trials_per_task=12), 1).run()
    more = Campaign(store, Simulated(), spec(trials_per_task=20), 1)
    assert more.run().recorded == 8
    assert more.fleet.histories == [12]
    assert more.stored() == {"task1": 20}


@pytest.mark.parametrize("transfers", [True, False])
def test_records_of_other_workloads_go_to_searches_that_learn_from_them(
    store: Storage, transfers: bool
) -> None:
    twin = replace(workload(2), name=workload(1).name)
    Campaign(store, Simulated(), spec(trials_per_task=12), 1).run()
    store.workloads.put([twin])
    fleet = Simulated()
    Campaign(store, fleet, spec(trials_per_task=12), 2, transfers=transfers).run()
    assert fleet.related == [12 if transfers else 0]


def test_a_tasks_first_rounds_look_at_the_fastest_schedules_of_its_like(store: Storage) -> None:
    twin = replace(workload(2), name=workload(1).name)
    Campaign(store, Simulated(), spec(trials_per_task=12), 1).run()
    store.workloads.put([twin])
    fleet = Simulated()
    Campaign(store, fleet, spec(trials_per_task=80), 2, lends=2).run()
    assert fleet.lent[:3] == [2, 2, 2]
    assert set(fleet.lent[3:]) == {0}


def test_tasks_that_have_enough_are_closed_without_any_work(store: Storage) -> None:
    Campaign(store, Simulated(), spec(), 1).run()
    again = Campaign(store, Simulated(), spec(), 1)
    assert again.run().recorded == 0
    assert again.fleet.happenings == []
    assert again.states() == {TaskState.SATISFIED}


@pytest.mark.parametrize("kind", ["open", "propose", "learn", "build", "measure", "train"])
def test_losing_a_worker_now_and_then_loses_and_doubles_nothing(store: Storage, kind: str) -> None:
    fleet = Simulated()
    fleet.fails = lambda what, number: EngineLostError("gone") if what == kind and number % 4 == 2 else None
    campaign = Campaign(store, fleet, spec(), 1, 2)
    assert campaign.run().recorded == 40
    assert campaign.stored() == {"task1": 20, "task2": 20}
    assert fleet.counts[kind] >= 2 or kind == "train"


def test_failed_trials_are_stored_with_how_they_failed(store: Storage) -> None:
    fleet = Simulated()
    fleet.measurement = lambda number: Measurement(TrialState.RUN_TIMEOUT, message="killed after 20 s")
    campaign = Campaign(store, fleet, spec(trials=5), 1)
    campaign.run()
    assert Counter(trial.state for trial in store.trials.of_campaign(campaign.id)) == {
        TrialState.RUN_TIMEOUT: 5
    }


def test_a_stop_records_what_is_being_measured_and_nothing_more(store: Storage) -> None:
    fleet = Simulated()
    campaign = Campaign(store, fleet, spec(), 1, 2)
    campaign.run(lambda: fleet.counts["measure"] >= 3)
    assert sum(campaign.stored().values()) == fleet.counts["measure"]
    assert fleet.counts["measure"] in (3, 4)
    assert campaign.states() == {TaskState.OPEN}


# -- a store that fails


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each result is stored when it comes."""
    monkeypatch.setattr(results, "GATHER_SECONDS", 0.0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "STORE_PATIENCE_SECONDS", 3.0)
    monkeypatch.setattr(patience, "STORE_PAUSE_SECONDS", 0.05)


class Locked:
    """Another program that holds the database's write lock for a while."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def lock(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def unlock(self) -> None:
        self._connection.execute("ROLLBACK")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("first", [3, 20])
def test_results_wait_for_a_database_that_is_locked_for_a_while(
    store: Storage, path: Path, first: int
) -> None:
    other, fleet = Locked(path), Simulated()
    campaign = Campaign(store, fleet, spec(), 1, 2)
    held: list[str] = []

    def measured(number: int) -> Measurement:
        if number == first:
            other.lock()
            held.append("locked")
        return Measurement(TrialState.OK, (1.0,))

    def say(text: str) -> None:
        if held == ["locked"] and "database" in text:
            other.unlock()
            held.append("unlocked")

    fleet.measurement = measured
    campaign.hears = say
    assert campaign.run().recorded == 40
    assert held == ["locked", "unlocked"]
    assert campaign.stored() == {"task1": 20, "task2": 20}
    assert campaign.states() == {TaskState.SATISFIED}


@pytest.mark.usefixtures("impatient", "at_once")
def test_a_database_that_stays_away_ends_the_run_and_keeps_the_results_in_a_file(
    store: Storage, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    other, fleet = Locked(path), Simulated()
    campaign = Campaign(store, fleet, spec(), 1)

    def measured(number: int) -> Measurement:
        if number == 3:
            other.lock()
        return Measurement(TrialState.OK, (1.0,))

    fleet.measurement = measured
    with pytest.raises(StorageError, match=r"trials could not be stored .* && tunefleet resume \d+") as told:
        campaign.run()
    other.unlock()
    assert campaign.stored() == {"task1": 2}
    (kept,) = (tmp_path / "tunefleet").glob("unstored-*.jsonl")
    assert str(kept) in str(told.value)
    taken = import_records(store, kept)
    assert taken.imported == taken.trials == fleet.counts["measure"] - 2 > 0
    assert campaign.stored() == {"task1": fleet.counts["measure"]}


@pytest.mark.usefixtures("impatient")
def test_results_that_go_nowhere_are_counted(
    store: Storage, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tunefleet").write_text("a file where the folder would be")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    other, fleet = Locked(path), Simulated()

    def measured(number: int) -> Measurement:
        other.lock()
        return Measurement(TrialState.OK, (1.0,))

    fleet.measurement = measured
    with pytest.raises(StorageError, match=r"\d+ measured trials .* are lost"):
        Campaign(store, fleet, spec(), 1).run()
    other.unlock()


@pytest.mark.usefixtures("at_once")
def test_a_lost_lease_ends_the_run_and_stores_nothing_after(store: Storage) -> None:
    fleet = Simulated()
    campaign = Campaign(store, fleet, spec(), 1, 2)

    def measured(number: int) -> Measurement:
        if number == 4:
            assert store.leases.take_over(campaign.id, "host:2:other", OWNER, 600)
        return Measurement(TrialState.OK, (1.0,))

    fleet.measurement = measured
    with pytest.raises(LeaseLostError):
        campaign.run()
    assert sum(campaign.stored().values()) == 3
    assert fleet.counts["measure"] == 4


def test_two_campaigns_on_one_workload_share_its_trials(store: Storage) -> None:
    first = Campaign(store, Simulated(), spec(), 1, 2)
    first.run()
    second = Campaign(store, Simulated(), spec(), 2, 3)
    assert second.run().recorded == 20
    assert second.stored() == {"task2": 20, "task3": 20}
    assert store.trials.counts([(workload(2).hash, CPU.device_class)]) == {
        (workload(2).hash, CPU.device_class): 20
    }
