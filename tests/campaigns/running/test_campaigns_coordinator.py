"""The coordinator on a real database, with stand-ins for fleet and engine: what it does when it loses."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.postgres_server import PostgresServer, new_database
from orchestrator.builds.costs import Costs, closing_seconds
from orchestrator.campaigns.planning.plan import CampaignPlan
from orchestrator.campaigns.running import coordinator, heartbeat, run, stages
from orchestrator.campaigns.running.check import Checked
from orchestrator.campaigns.running.coordinator import coordinate, follow
from orchestrator.campaigns.running.submit import submit
from orchestrator.campaigns.scheduling.staffing import TuningRequest
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning import patience, results
from orchestrator.errors import DisagreementError, EngineError, LeaseLostError, ModelError
from orchestrator.fleet.options import FleetOptions
from orchestrator.fleet.simulated import SimulatedFleet, offer
from orchestrator.storage import CampaignRequest, CampaignState, Storage
from tests.kit.planned_campaigns import CPU, workload
from tests.kit.stand_in_fleet import Simulated
from workers.messages import (
    Candidate,
    DeviceInfo,
    Extraction,
    Measurement,
    PreparedModel,
    SearchOptions,
    TaskSpec,
    TensorSpec,
    TrialState,
    Workload,
)

OTHER = "host:2:other"


def class_of(engine: str) -> str:
    return CPU.device_class if engine == "plain" else f"{CPU.device_class}-{engine}"


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

    def no_later_than(self, moment: float) -> AbstractContextManager[None]:
        return nullcontext()

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def check_options(self, options: SearchOptions) -> None:
        pass

    def packed_samples(self, kind: str) -> bytes:
        return b""

    def transfers(self, options: SearchOptions) -> bool:
        return False

    def lends(self, options: SearchOptions) -> int:
        return 0

    def resolve_target(self, spec: str) -> DeviceInfo:
        # It carries its versions where a device says why it is unfit.
        return replace(CPU, unfit="", device_class=class_of(self.engine))

    def known_kernel(self, target: str) -> tuple[Workload, Candidate]:
        return workload(99), Candidate("known", "trace known")

    def engine_version(self) -> str:
        return "1"

    def toolchain_of(self, device: DeviceInfo) -> dict[str, str]:
        return {"tvm": "0.27"}  # as the simulated fleet has it

    def prepare(self, path: str, shapes: Any) -> PreparedModel:
        tensor = TensorSpec("x", (1, 3, 8, 8), "float32")
        name = Path(path).stem
        return PreparedModel(f"{sum(name.encode()):064x}", name, b"onnx", (tensor,), (tensor,))

    def extract(self, model: PreparedModel, target: str) -> Extraction:
        if model.name == "broken":
            raise ModelError("broken.onnx can't be imported")
        first = 2 * sum(model.name.encode())
        return Extraction(tuple(TaskSpec(f"task{n}", n, workload(first + n)) for n in (1, 2)), "1")


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
def fleet(monkeypatch: pytest.MonkeyPatch) -> Simulated:
    # What is stored when a lease is lost is counted, so each result is stored when it comes.
    monkeypatch.setattr(results, "GATHER_SECONDS", 0.0)
    monkeypatch.setattr(run, "Toolbox", Tools)
    # What comes before and after tuning, where libraries are run, is for other tests.
    monkeypatch.setattr(stages.Stages, "check", lambda *_: None)
    monkeypatch.setattr(stages.Stages, "verify", lambda *_: [])
    return Simulated()


@pytest.fixture
def place(fleet: Simulated) -> FleetOptions:
    """Where it is."""
    return FleetOptions(offer(fleet))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(str(tmp_path / "records.db"), patience_s=20) as opened:
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
            holder = store.campaigns.get(campaign_id).lease_owner
            assert holder is not None
            assert store.leases.take_over(campaign_id, OTHER, holder, 600)
        return Measurement(TrialState.OK, (1.0 / number,))

    return measured


def test_a_coordinator_that_loses_its_lease_goes_on_with_the_next_campaign(
    store: Storage, fleet: Simulated, place: FleetOptions, spec: CampaignSpec
) -> None:
    lost = submit(store, spec).id
    fleet.measurement = taken_over_at(store, lost, 5)
    listener = Listener()
    coordinate(store, fleet=place, listener=listener, until_idle=True)
    assert fleet.engines
    assert fleet.running == 0
    row = store.campaigns.get(lost)
    # All is left as the other one has it: no state, no message, no trial of the loser's comes after.
    assert (row.state, row.message, row.lease_owner, row.held) == (CampaignState.TUNING, "", OTHER, True)
    assert len(store.trials.of_campaign(lost)) == 4
    assert not [text for text in listener.said if "fail" in text]
    fleet.measurement = lambda number: Measurement(TrialState.OK, (1.0 / number,))
    after = submit(store, spec).id
    coordinate(store, fleet=place, until_idle=True)
    assert store.campaigns.get(after).state is CampaignState.DONE


def test_who_follows_a_campaign_that_is_taken_over_is_told_so(
    store: Storage, fleet: Simulated, place: FleetOptions, spec: CampaignSpec
) -> None:
    campaign_id = submit(store, spec, hold=True).id
    fleet.measurement = taken_over_at(store, campaign_id, 5)
    with pytest.raises(LeaseLostError, match="taken over by another coordinator; what was measured here"):
        follow(store, campaign_id, fleet=place)
    assert store.campaigns.get(campaign_id).lease_owner == OTHER
    assert len(store.trials.of_campaign(campaign_id)) == 4


def test_a_lease_lost_while_planning_is_noticed_before_anything_is_planned(
    store: Storage, fleet: Simulated, place: FleetOptions, spec: CampaignSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_id = submit(store, spec, hold=True).id

    def extract(self: Tools, model: PreparedModel, target: str) -> Extraction:
        holder = store.campaigns.get(campaign_id).lease_owner or ""
        assert store.leases.take_over(campaign_id, OTHER, holder, 600)
        return Extraction((TaskSpec("task1", 1, workload(1)),), "1")

    monkeypatch.setattr(Tools, "extract", extract)
    with pytest.raises(LeaseLostError):
        follow(store, campaign_id, fleet=place)
    assert store.tasks.of_campaign(campaign_id) == []
    assert fleet.happenings == []


def test_a_campaign_outlasts_a_restart_of_its_database_server(
    own_postgres: Callable[..., PostgresServer],
    fleet: Simulated,
    place: FleetOptions,
    spec: CampaignSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "STORE_PAUSE_SECONDS", 0.1)
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
        outcome = follow(store, campaign_id, fleet=place, listener=listener)
        assert (outcome.campaign.state, outcome.measured) == (CampaignState.DONE, 40)
        assert [row.stored for row in store.tasks.of_campaign(campaign_id)] == [20, 20]
        assert len({row.token for row in store.trials.of_campaign(campaign_id)}) == 40
        assert fleet.counts["measure"] == 40
    assert any(
        "wait for the database" in text or "waiting for the database" in text for text in listener.said
    )


# -- several at once


@pytest.fixture
def submitted(store: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Submits a campaign of a model of its own: two tasks, 20 trials each."""
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(coordinator, "_IDLE_SECONDS", 0.02)

    def submit_one(name: str, *, engine: str = "plain", priority: int = 0) -> int:
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(b"onnx")
        values = {"models": [{"path": str(path)}], "engine": engine, "trials_per_task": 20}
        return submit(store, CampaignSpec.of(values), priority=priority).id

    return submit_one


def slowly(fleet: Simulated, at: dict[int, Callable[[], object]], seconds: float = 0.02) -> None:
    """Have each measurement take a while, and something happen at some of them."""

    def measured(number: int) -> Measurement:
        at.get(number, lambda: None)()
        time.sleep(seconds)
        return Measurement(TrialState.OK, (1.0 / number,))

    fleet.measurement = measured


def states(store: Storage, *campaigns: int) -> list[tuple[str, int]]:
    return [(store.campaigns.get(i).state.value, len(store.trials.of_campaign(i))) for i in campaigns]


def span(store: Storage, campaign: int) -> tuple[int, int]:
    ids = [trial.id for trial in store.trials.of_campaign(campaign)]
    return min(ids), max(ids)


def test_submitted_campaigns_run_side_by_side(
    store: Storage, fleet: Simulated, place: FleetOptions, submitted: Callable[..., int]
) -> None:
    first, second = submitted("first"), submitted("second")
    slowly(fleet, {}, 0.05)  # the second is begun a second later
    coordinate(store, fleet=place, until_idle=True)
    assert states(store, first, second) == [("done", 40), ("done", 40)]
    assert span(store, second)[0] < span(store, first)[1]
    assert fleet.engines == ["plain"]
    assert fleet.engines
    assert fleet.running == 0


def test_one_at_a_time_they_run_by_priority_and_then_by_age(
    store: Storage, fleet: Simulated, place: FleetOptions, submitted: Callable[..., int]
) -> None:
    low, first, second, high = (
        submitted(name, priority=p) for name, p in (("low", -1), ("a", 0), ("b", 0), ("high", 3))
    )
    coordinate(store, fleet=place, until_idle=True, at_once=1)
    spans = [span(store, campaign) for campaign in (high, first, second, low)]
    assert spans == sorted(spans)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))


def test_pausing_or_cancelling_one_leaves_the_others_running(
    store: Storage, fleet: Simulated, place: FleetOptions, submitted: Callable[..., int]
) -> None:
    paused, cancelled, stays = submitted("first"), submitted("second"), submitted("third")
    slowly(
        fleet,
        {
            4: lambda: store.campaigns.request(paused, CampaignRequest.PAUSE),
            8: lambda: store.campaigns.request(cancelled, CampaignRequest.CANCEL),
        },
    )
    coordinate(store, fleet=place, until_idle=True)
    found = states(store, paused, cancelled, stays)
    assert [state for state, _ in found] == ["paused", "cancelled", "done"]
    assert found[0][1] < 40 > found[1][1]
    assert found[2][1] == 40
    assert not any(store.campaigns.get(campaign).held for campaign in (paused, cancelled, stays))


def test_one_that_fails_leaves_the_others_running(
    store: Storage, fleet: Simulated, place: FleetOptions, submitted: Callable[..., int]
) -> None:
    fails, stays = submitted("broken"), submitted("first")
    listener = Listener()
    coordinate(store, fleet=place, listener=listener, until_idle=True)
    assert states(store, fails, stays) == [("failed", 0), ("done", 40)]
    assert any("can't be imported" in text for text in listener.said)


def test_an_interrupt_puts_all_of_them_back_and_the_next_coordinator_measures_the_rest(
    store: Storage, fleet: Simulated, place: FleetOptions, submitted: Callable[..., int]
) -> None:
    first, second = submitted("first"), submitted("second")
    slowly(fleet, {20: lambda: signal.raise_signal(signal.SIGINT)})
    with pytest.raises(KeyboardInterrupt):
        coordinate(store, fleet=place, until_idle=True)
    assert fleet.engines
    assert fleet.running == 0
    found = states(store, first, second)
    assert [state for state, _ in found] == ["queued", "queued"]
    assert sum(count for _, count in found) == fleet.counts["measure"] < 80
    coordinate(store, fleet=place, until_idle=True)
    assert states(store, first, second) == [("done", 40), ("done", 40)]
    assert fleet.counts["measure"] == 80


def test_a_campaign_of_a_higher_priority_takes_the_place_of_the_lowest(
    store: Storage, fleet: Simulated, place: FleetOptions, submitted: Callable[..., int]
) -> None:
    low = submitted("low")
    late: list[int] = []
    slowly(fleet, {5: lambda: late.append(submitted("urgent", priority=2))})
    coordinate(store, fleet=place, until_idle=True, at_once=1)
    assert states(store, low, *late) == [("done", 40), ("done", 40)]
    assert span(store, low)[0] < span(store, late[0])[0]
    assert span(store, late[0])[1] < span(store, low)[1]


def test_campaigns_of_two_engines_never_share_the_machine_and_neither_starves(
    store: Storage,
    fleet: Simulated,
    place: FleetOptions,
    submitted: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coordinator, "ENGINE_PATIENCE_SECONDS", -1.0)
    first = submitted("first")
    later: list[int] = []

    def more() -> None:
        later.append(submitted("other", engine="other"))
        later.append(submitted("third"))

    slowly(fleet, {3: more})
    coordinate(store, fleet=place, until_idle=True)
    other, third = later
    assert states(store, first, other, third) == [("done", 40)] * 3
    assert fleet.engines == ["plain", "other", "plain"]
    assert span(store, first)[1] < span(store, other)[0]
    assert span(store, other)[1] < span(store, third)[0]


# -- its time


def test_the_fleet_starts_while_the_models_are_checked_and_measures_when_they_are(
    store: Storage,
    fleet: Simulated,
    place: FleetOptions,
    spec: CampaignSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[int, int]] = []

    def check(_: stages.Stages, plan: CampaignPlan, request: TuningRequest) -> None:
        assert request.staffed.wait(20.0)
        time.sleep(0.3)  # for what must not begin
        seen.append((fleet.running, len(fleet.happenings)))

    monkeypatch.setattr(stages.Stages, "check", check)
    outcome = follow(store, submit(store, spec, hold=True).id, fleet=place)
    assert seen == [(1, 0)]
    assert outcome.measured == 40
    assert list(outcome.parts_s) == ["planning", "checking", "workers", "tuning"]


def test_a_model_that_is_refused_ends_the_start_of_its_fleet(
    store: Storage,
    fleet: Simulated,
    place: FleetOptions,
    spec: CampaignSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starting = threading.Event()

    def start(_: SimulatedFleet, say: Callable[[str], None], stopped: Callable[[], bool]) -> bool:
        starting.set()
        until = time.monotonic() + 60.0
        while not stopped() and time.monotonic() < until:
            time.sleep(0.05)
        return False

    def check(*_: object) -> None:
        assert starting.wait(20.0)
        raise DisagreementError("it computes something else")

    monkeypatch.setattr(SimulatedFleet, "start", start)
    monkeypatch.setattr(stages.Stages, "check", check)
    campaign_id = submit(store, spec, hold=True).id
    began = time.monotonic()
    with pytest.raises(DisagreementError):
        follow(store, campaign_id, fleet=place)
    assert time.monotonic() - began < 30.0
    assert store.campaigns.get(campaign_id).state is CampaignState.FAILED
    assert (fleet.running, fleet.happenings) == (0, [])


def test_a_fleet_that_could_not_start_beside_the_check_is_started_after_it(
    store: Storage,
    fleet: Simulated,
    place: FleetOptions,
    spec: CampaignSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, tries = SimulatedFleet.start, 0

    def overloaded(self: SimulatedFleet, *args: Any) -> bool:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise EngineError("Ray did not start on this machine")
        return start(self, *args)

    def check(_: stages.Stages, plan: CampaignPlan, request: TuningRequest) -> None:
        assert request.staffed.wait(20.0)
        time.sleep(0.5)  # for what must not begin
        assert tries == 1

    monkeypatch.setattr(SimulatedFleet, "start", overloaded)
    monkeypatch.setattr(stages.Stages, "check", check)
    assert follow(store, submit(store, spec, hold=True).id, fleet=place).measured == 40
    assert tries == 2


def test_a_campaign_stops_tuning_while_there_is_time_for_what_follows(
    store: Storage,
    place: FleetOptions,
    spec: CampaignSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    costs = Costs(compile_s=2.0, call_s=0.1, one_s=0.1, reference_s=0.1, judge_s=0.1)
    ended: list[float] = []

    def check(self: stages.Stages, plan: CampaignPlan, request: TuningRequest) -> None:
        self._checked = {(1, CPU.device_class): Checked(costs=costs)}

    def verify(self: stages.Stages, plan: CampaignPlan) -> list[Any]:
        ended.append(time.monotonic())
        return []

    monkeypatch.setattr(stages.Stages, "check", check)
    monkeypatch.setattr(stages.Stages, "verify", verify)
    timed = spec.model_copy(update={"trials_per_task": None, "time_s": 10.0})
    campaign_id = submit(store, timed, hold=True).id
    began = time.monotonic()
    outcome = follow(store, campaign_id, fleet=place, began=began - 2.0)
    # What only time limits has no number of trials.
    assert outcome.plan_missing is None
    # Two seconds had passed before this began, and four and more are kept.
    assert closing_seconds([costs]) > 4.0
    assert outcome.parts_s["tuning"] > 1.0
    assert ended[0] - began < 10.0 - 2.0 - 4.0 + 2.0
    assert outcome.campaign.active_s >= 2.0


def test_a_campaign_without_any_time_left_says_that_nothing_was_measured(
    store: Storage, fleet: Simulated, place: FleetOptions, spec: CampaignSpec
) -> None:
    timed = spec.model_copy(update={"time_s": 5.0})
    campaign_id = submit(store, timed, hold=True).id
    outcome = follow(store, campaign_id, fleet=place, began=time.monotonic() - 200.0)
    assert outcome.measured == 0
    assert fleet.happenings == []
    assert outcome.remarks == (
        "nothing was measured: importing, checking and starting took the time that was asked for",
    )
    assert outcome.remarks[0] in outcome.campaign.message
