"""Campaigns that share one fleet: in one loop with a stand-in for it, and on a real Ray."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.campaigns.scheduling import scheduler as scheduling
from orchestrator.campaigns.scheduling.scheduler import Scheduler
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning.tuner import Tuning
from orchestrator.errors import EngineLostError, LeaseLostError
from orchestrator.fleet.port import Completion, Device, DevicesWanted, Fleet
from orchestrator.fleet.ray.fleet import RayFleet
from orchestrator.fleet.simulated import SimulatedFleet
from orchestrator.fleet.work import DeviceWork
from orchestrator.storage import Storage, TaskState
from tests.kit.planned_campaigns import CPU, OWNER, plan
from tests.kit.stand_in_fleet import Simulated
from workers.messages import DeviceInfo


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}", patience_s=0.5) as opened:
        yield opened


class NotedTuning(Tuning):
    """A campaign that notes when it is given a device."""

    measured: list[int]

    def next_measurement(self, device: Device) -> DeviceWork | None:
        self.measured.append(self.id)
        return super().next_measurement(device)


class Needy(NotedTuning):
    """A campaign that wants one more class than it has tasks for."""

    @property
    def device_classes(self) -> tuple[str, ...]:
        return (*super().device_classes, "class x")


class Shop:
    """A scheduler, its fleet, and who measured when."""

    def __init__(self, store: Storage, fleet: Fleet, clock: Callable[[], float] = time.monotonic) -> None:
        self.store, self.fleet = store, fleet
        self.scheduler = Scheduler(store, fleet, clock=clock)
        self.measured: list[int] = []
        self.ended: dict[int, Exception | None] = {}
        self.stopped: set[int] = set()

    def add(
        self, *numbers: int, priority: int = 0, trials: int = 40, job: type[NotedTuning] | None = None
    ) -> int:
        spec = CampaignSpec.of({"models": [{"path": "/model.onnx"}], "trials_per_task": trials})
        campaign, made = plan(self.store, spec, numbers)
        tuning = (job or NotedTuning)(self.store, campaign, OWNER, spec, made, lambda _: None, lambda: None)
        tuning.measured = self.measured
        self.scheduler.add(
            tuning,
            lambda: campaign in self.stopped,
            lambda error: self.ended.update({campaign: error}),
            priority,
        )
        return campaign

    def run(self, until: Callable[[], object] = lambda: False) -> None:
        for _ in range(10_000):
            if not self.scheduler.busy or until():
                return
            self.scheduler.step()
        raise AssertionError(f"no end; measured {len(self.measured)}")

    def stored(self, campaign: int) -> int:
        rows = self.store.tasks.of_campaign(campaign)
        assert {row.state for row in rows} == {TaskState.SATISFIED}
        return sum(row.measured for row in rows)


class SecondByTurn(SimulatedFleet):
    """A fleet on which a second passes whenever it is waited for."""

    def wait(self, timeout_s: float) -> list[Completion]:
        self.simulation.clock.sleep(1.0)
        return super().wait(timeout_s)


@pytest.fixture(params=[True, False], ids=["shared-cores", "own-cores"])
def simulated(request: pytest.FixtureRequest) -> Simulated:
    return Simulated(shares_cores=request.param)


@pytest.fixture
def shop(simulated: Simulated, store: Storage) -> Shop:
    fleet = SecondByTurn(simulated, DevicesWanted((CPU,)))
    return Shop(store, fleet, simulated.clock.now)


def test_campaigns_of_one_priority_are_measured_evenly_and_get_all_their_trials(
    shop: Shop, simulated: Simulated
) -> None:
    first, second = shop.add(1, 2), shop.add(3, 4)
    shop.run(lambda: len(shop.measured) >= 60)
    assert shop.measured.count(first) == pytest.approx(30, abs=10)
    shop.run()
    assert (shop.stored(first), shop.stored(second)) == (80, 80)
    assert shop.ended == {first: None, second: None}
    assert simulated.sessions == set()


def test_a_higher_priority_is_served_first_also_where_it_comes_later(shop: Shop) -> None:
    low = shop.add(1, 2, 3)
    shop.run(lambda: len(shop.measured) >= 20)
    high = shop.add(4, 5, 6, priority=1)
    before = len(shop.measured)
    shop.run(lambda: high in shop.ended)
    meanwhile = shop.measured[before:]
    # Its trials, and the best of them again.
    assert 120 <= meanwhile.count(high) <= 132
    # What the higher one had no use for: its rounds ended, or it waited for its first builds.
    assert meanwhile.count(low) < 60
    shop.run()
    assert (shop.stored(low), shop.stored(high)) == (120, 120)


def test_a_campaign_that_joins_late_shares_from_then_on_and_does_not_get_all(shop: Shop) -> None:
    first = shop.add(1, 2, trials=120)
    shop.run(lambda: len(shop.measured) >= 120)
    second = shop.add(3, 4, trials=120)
    shop.run(lambda: second in shop.measured)
    before = len(shop.measured)
    shop.run(lambda: len(shop.measured) >= before + 80)
    assert shop.measured[before:].count(second) == pytest.approx(40, abs=14)
    assert first in shop.measured[before:]


def test_a_campaign_that_fails_or_is_stopped_leaves_the_other_running(
    shop: Shop, simulated: Simulated
) -> None:
    fails, stops, stays = shop.add(1), shop.add(2), shop.add(3)
    shop.run(lambda: len(shop.measured) >= 9)
    assert shop.store.leases.take_over(fails, "host:2:other", OWNER, 600)
    shop.stopped.add(stops)
    shop.run()
    assert isinstance(shop.ended[fails], LeaseLostError)
    assert (shop.ended[stops], shop.ended[stays]) == (None, None)
    assert shop.stored(stays) == 40
    assert 0 < len(shop.store.trials.of_campaign(stops)) < 40
    # Nobody keeps a search's process.
    shop.run()
    while shop.fleet.computing:
        shop.scheduler.step()
    assert simulated.sessions == set()


def test_a_class_without_a_device_ends_only_who_needs_it(shop: Shop) -> None:
    first, second = shop.add(1, job=Needy), shop.add(2)
    shop.run()
    assert isinstance(shop.ended[first], EngineLostError)
    assert shop.stored(second) == 40


def test_searches_are_open_for_all_campaigns_together(
    store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "OPEN", 8)
    simulated = Simulated(slots=2)
    shop = Shop(store, simulated.fleet)
    shop.add(*range(1, 11), trials=8)
    shop.add(*range(11, 21), trials=8)
    most = 0
    while shop.scheduler.busy:
        shop.scheduler.step()
        most = max(most, len(simulated.sessions))
    assert 4 < most <= 8


# -- on Ray


@pytest.fixture(scope="module")
def fleet() -> Iterator[RayFleet]:
    """Everything on this machine is real but the engine."""
    made = RayFleet("stand_in_engines.quick", DevicesWanted((CPU,)), slots=2)
    try:
        assert made.start()
        yield made
    finally:
        made.stop()


@pytest.mark.slow
def test_two_of_one_priority_and_one_of_a_higher_share_a_real_fleet(store: Storage, fleet: RayFleet) -> None:
    shop = Shop(store, fleet)
    first, second = shop.add(1, 2, trials=12), shop.add(3, 4, trials=12)
    shop.run(lambda: len(shop.measured) >= 8)
    high = shop.add(5, trials=12, priority=3)
    shop.run(lambda: high in shop.ended)
    assert not {first, second} & set(shop.ended)
    shop.run()
    assert [shop.stored(campaign) for campaign in (first, second, high)] == [24, 24, 12]
    tokens = [
        trial.token for campaign in (first, second, high) for trial in store.trials.of_campaign(campaign)
    ]
    assert len(set(tokens)) == len(tokens) == 60
    assert {first, second} <= set(shop.measured[:24])


def test_a_running_fleet_serves_a_class_that_is_needed_later_and_says_which_it_has_not(
    fleet: RayFleet, eventually: Callable[..., None]
) -> None:
    one = DeviceInfo("one core", "cpu-a-1", "Some CPU", 1, "cpu")
    nowhere = DeviceInfo("elsewhere", "cpu-b-9", "Other CPU", 9, "cpu")
    fleet.need(DevicesWanted((one, nowhere)))
    eventually(lambda: fleet.wait(0.1) or not fleet.coming, "the node answered", 30)
    assert fleet.lacking([CPU.device_class, one.device_class]) is None
    lacking = fleet.lacking([nowhere.device_class])
    assert lacking is not None
    assert "cpu-b-9" in str(lacking)
    # Both are this machine's cores: where one is measured on, the other waits.
    both = fleet.idle_devices()
    assert {device.device_class for device in both} == {CPU.device_class, one.device_class}
    assert len({device.place for device in both}) == 1
    both[0].busy = True
    assert fleet.idle_devices() == []
    assert not fleet.reserve_cores()
    both[0].busy = False
    assert fleet.reserve_cores()
    assert (fleet.idle_devices(), fleet.free_slots, fleet.paused_here) == ([], 0, True)
    fleet.release_cores()
    assert (len(fleet.idle_devices()), fleet.free_slots, fleet.paused_here) == (2, 2, False)
