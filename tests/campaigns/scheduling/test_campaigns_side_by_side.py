"""Campaigns that share one fleet: in one loop with a stand-in for it, and on a real Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.campaigns.scheduling import scheduler as looping
from orchestrator.campaigns.scheduling.scheduler import Scheduler
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning.tuner import Tuning
from orchestrator.errors import EngineLostError, LeaseLostError
from orchestrator.fleet.ray.fleet import RayFleet
from orchestrator.storage import Storage, TaskState
from tests.kit.stand_in_fleet import CPU, OWNER, StandInFleet, plan
from workers.messages import DeviceInfo


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}", patience_s=0.5) as opened:
        yield opened


class Clock:
    """Seconds that pass only while the fleet is waited for."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Shop:
    """A loop, its fleet, and who measured when."""

    def __init__(self, store: Storage, fleet: Any, clock: Callable[[], float] | None = None) -> None:
        self.store, self.fleet = store, fleet
        self.loop = Scheduler(store, fleet, **({"clock": clock} if clock else {}))
        self.measured: list[int] = []
        self.ended: dict[int, Exception | None] = {}
        self.stopped: set[int] = set()
        measure = fleet.measure

        def noted(tag: Any, *args: Any) -> None:
            self.measured.append(tag.tuned.id)
            measure(tag, *args)

        fleet.measure = noted

    def add(self, *numbers: int, priority: int = 0, trials: int = 40) -> int:
        spec = CampaignSpec.of({"models": [{"path": "/model.onnx"}], "trials_per_task": trials})
        campaign, made = plan(self.store, spec, numbers)
        tuning = Tuning(self.store, None, campaign, OWNER, spec, made, lambda _: None, lambda: None)
        self.loop.add(
            tuning,
            lambda: campaign in self.stopped,
            lambda error: self.ended.update({campaign: error}),
            priority,
        )
        return campaign

    def run(self, until: Callable[[], object] = lambda: False) -> None:
        for _ in range(10_000):
            if not self.loop.busy or until():
                return
            self.loop.step()
        raise AssertionError(f"no end; measured {len(self.measured)}")

    def stored(self, campaign: int) -> int:
        rows = self.store.tasks.of_campaign(campaign)
        assert {row.state for row in rows} == {TaskState.SATISFIED}
        return sum(row.measured for row in rows)


@pytest.fixture(params=[True, False], ids=["shared-cores", "own-cores"])
def shop(request: pytest.FixtureRequest, store: Storage) -> Shop:
    clock, fleet = Clock(), StandInFleet(shares_cores=request.param)
    wait = fleet.wait

    def wait_a_second(timeout_s: float) -> list[Any]:
        clock.now += 1.0
        return wait(timeout_s)

    fleet.wait = wait_a_second  # type: ignore[method-assign]
    return Shop(store, fleet, clock)


def test_campaigns_of_one_priority_are_measured_evenly_and_get_all_their_trials(shop: Shop) -> None:
    first, second = shop.add(1, 2), shop.add(3, 4)
    shop.run(lambda: len(shop.measured) >= 60)
    assert shop.measured.count(first) == pytest.approx(30, abs=10)
    shop.run()
    assert (shop.stored(first), shop.stored(second)) == (80, 80)
    assert shop.ended == {first: None, second: None}
    assert shop.fleet.sessions == set()


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


def test_a_campaign_that_fails_or_is_stopped_leaves_the_other_running(shop: Shop) -> None:
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
    while shop.fleet._queue:
        shop.loop.step()
    assert shop.fleet.sessions == set()


def test_a_class_without_a_device_ends_only_who_needs_it(shop: Shop) -> None:
    first, second = shop.add(1), shop.add(2)
    members = shop.loop._members

    def check(device_classes: Any) -> None:
        if first in members and device_classes is members[first].tuned.device_classes:
            raise EngineLostError("there was no device of class x for 120 s")

    shop.fleet.check = check
    shop.run()
    assert isinstance(shop.ended[first], EngineLostError)
    assert shop.stored(second) == 40


def test_searches_are_open_for_all_campaigns_together(
    store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looping, "OPEN", 8)
    shop = Shop(store, StandInFleet(slots=2))
    shop.add(*range(1, 11), trials=8)
    shop.add(*range(11, 21), trials=8)
    most = 0
    while shop.loop.busy:
        shop.loop.step()
        most = max(most, len(shop.fleet.sessions))
    assert 4 < most <= 8


# -- on Ray


@pytest.fixture(scope="module")
def fleet() -> Iterator[RayFleet]:
    """Everything on this machine is real but the engine."""
    made = RayFleet("stand_in_engines.quick", (CPU,), slots=2)
    try:
        made.join()
        assert made.start()
        yield made
    finally:
        made.stop()


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
    fleet.need((one, nowhere))
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
