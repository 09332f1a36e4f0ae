"""The coordinator on a real database, with stand-ins for fleet and engine: what it does when it loses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stand_in_fleet import CPU, StandInFleet, workload

from benchmarks.postgres_server import PostgresServer, new_database
from orchestrator.campaigns import coordinator, tuning
from orchestrator.campaigns.coordinator import coordinate, follow, submit
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.errors import LeaseLostError
from orchestrator.storage import CampaignState, Storage
from workers.messages import (
    DeviceInfo,
    Extraction,
    Measurement,
    PreparedModel,
    SearchOptions,
    TaskSpec,
    TensorSpec,
    TrialState,
)

OTHER = "host:2:other"


class Tools:
    """What the coordinator asks of a :class:`orchestrator.fleet.Toolbox` until it verifies."""

    def __init__(self, engine: str) -> None:
        self.engine = engine

    def __enter__(self) -> Tools:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def stop(self) -> None:
        pass

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def check_options(self, options: SearchOptions) -> None:
        pass

    def transfers(self, options: SearchOptions) -> bool:
        return False

    def resolve_target(self, spec: str) -> DeviceInfo:
        # It carries its versions where a device says why it is unfit.
        return replace(CPU, unfit="")

    def engine_version(self) -> str:
        return "1"

    def prepare(self, path: str, shapes: Any) -> PreparedModel:
        tensor = TensorSpec("x", (1, 3, 8, 8), "float32")
        return PreparedModel("ab" * 32, "model", b"onnx", (tensor,), (tensor,))

    def extract(self, model: PreparedModel, target: str) -> Extraction:
        return Extraction(tuple(TaskSpec(f"task{n}", n, workload(n)) for n in (1, 2)), "1")


class Fleet(StandInFleet):
    """A fleet the coordinator makes, joins, starts and stops itself."""

    stopped = False
    coming = False

    def need(self, *_: Any) -> None:
        pass

    def lacking(self, device_classes: Any) -> None:
        return None

    def join(self, say: Callable[[str], None]) -> None:
        pass

    def start(self, say: Callable[[str], None], stopped: Callable[[], bool]) -> bool:
        # Its workers are new ones.
        self.stopped = False
        self._queue.clear()
        for device in self.devices:
            device.busy = device.paused = False
        return True

    def stop(self) -> None:
        self.stopped = True


class Listener:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.hears: Callable[[str], None] = lambda text: None

    def activity(self, text: str) -> None:
        self.said.append(text)
        self.hears(text)

    def changed(self, campaign_id: int) -> None:
        pass


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """The one fleet there is; the coordinator gets it whatever it asks for."""
    made = Fleet()
    monkeypatch.setattr("orchestrator.fleet.ray_fleet.RayFleet", lambda *_, **__: made)
    # What is stored when a lease is lost is counted, so each result is stored when it comes.
    monkeypatch.setattr(tuning, "GATHER_SECONDS", 0.0)
    monkeypatch.setattr(coordinator, "Toolbox", Tools)
    # What comes after tuning is for other tests.
    monkeypatch.setattr(coordinator._Run, "_verify", lambda *_, **__: [])
    return made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(str(tmp_path / "records.db"), patience_s=0.5) as opened:
        yield opened


@pytest.fixture
def spec(tmp_path: Path) -> CampaignSpec:
    (tmp_path / "model.onnx").write_bytes(b"onnx")
    return CampaignSpec.of(
        {"models": [{"path": str(tmp_path / "model.onnx")}], "engine": "plain", "trials_per_task": 20}
    )


def taken_over_at(store: Storage, campaign_id: int, trial: int) -> Callable[[int], Measurement]:
    """Measure, and have another coordinator take the campaign meanwhile."""

    def measured(number: int) -> Measurement:
        if number == trial:
            holder = store.get_campaign(campaign_id).lease_owner
            assert holder is not None
            assert store.take_over_lease(campaign_id, OTHER, holder, 600)
        return Measurement(TrialState.OK, (1.0 / number,))

    return measured


def test_a_coordinator_that_loses_its_lease_goes_on_with_the_next_campaign(
    store: Storage, fleet: Fleet, spec: CampaignSpec
) -> None:
    lost = submit(store, spec).id
    fleet.measurement = taken_over_at(store, lost, 5)
    listener = Listener()
    coordinate(store, listener=listener, until_idle=True)
    assert fleet.stopped
    row = store.get_campaign(lost)
    # All is left as the other one has it: no state, no message, no trial of the loser's comes after.
    assert (row.state, row.message, row.lease_owner, row.held) == (CampaignState.TUNING, "", OTHER, True)
    assert len(store.trials(lost)) == 4
    assert not [text for text in listener.said if "fail" in text]
    fleet.measurement = lambda number: Measurement(TrialState.OK, (1.0 / number,))
    after = submit(store, spec).id
    coordinate(store, until_idle=True)
    assert store.get_campaign(after).state is CampaignState.DONE


def test_who_follows_a_campaign_that_is_taken_over_is_told_so(
    store: Storage, fleet: Fleet, spec: CampaignSpec
) -> None:
    campaign_id = submit(store, spec, hold=True).id
    fleet.measurement = taken_over_at(store, campaign_id, 5)
    with pytest.raises(LeaseLostError, match="taken over by another coordinator; what was measured here"):
        follow(store, campaign_id)
    assert store.get_campaign(campaign_id).lease_owner == OTHER
    assert len(store.trials(campaign_id)) == 4


def test_a_lease_lost_while_planning_is_noticed_before_anything_is_planned(
    store: Storage, fleet: Fleet, spec: CampaignSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_id = submit(store, spec, hold=True).id

    def extract(self: Tools, model: PreparedModel, target: str) -> Extraction:
        holder = store.get_campaign(campaign_id).lease_owner or ""
        assert store.take_over_lease(campaign_id, OTHER, holder, 600)
        return Extraction((TaskSpec("task1", 1, workload(1)),), "1")

    monkeypatch.setattr(Tools, "extract", extract)
    with pytest.raises(LeaseLostError):
        follow(store, campaign_id)
    assert store.campaign_tasks(campaign_id) == []
    assert fleet.diary == []


def test_a_campaign_outlasts_a_restart_of_its_database_server(
    own_postgres: Callable[..., PostgresServer],
    fleet: Fleet,
    spec: CampaignSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tuning, "_STORE_PAUSE_SECONDS", 0.1)
    listener = Listener()
    with (
        own_postgres() as server,
        new_database(server.url) as url,
        Storage.open(url.render_as_string(hide_password=False), patience_s=0.5) as store,
    ):
        down = threading.Event()

        def measured(number: int) -> Measurement:
            if number == 7:
                server.stop()
                down.set()
            return Measurement(TrialState.OK, (1.0 / number,))

        def hears(text: str) -> None:
            if down.is_set() and "database" in text:
                down.clear()
                server.start()

        fleet.measurement, listener.hears = measured, hears
        campaign_id = submit(store, spec, hold=True).id
        outcome = follow(store, campaign_id, listener=listener)
        assert (outcome.campaign.state, outcome.measured) == (CampaignState.DONE, 40)
        assert [row.stored for row in store.campaign_tasks(campaign_id)] == [20, 20]
        assert len({row.token for row in store.trials(campaign_id)}) == 40
        assert fleet.counts["measure"] == 40
    assert any(
        "wait for the database" in text or "waiting for the database" in text for text in listener.said
    )
