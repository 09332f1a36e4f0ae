"""Checks of devices, and marks on what was measured while one had drifted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.errors import LeaseLostError, NotFoundError
from orchestrator.storage import (
    CheckState,
    MeasurementKey,
    MeasurementKind,
    NewDeviceCheck,
    NewMeasurement,
    Storage,
)
from tests.kit.storage_builders import CPU, GPU, campaign, failed, ok, stock, workload
from workers.messages import Condition, Measurement, TrialState

PAIR = (workload().hash, CPU.device_class)
CONDITION = Condition(2600.0, "performance", 1.5, 61.0, 3, "power cap", 12.5)
CHECK = NewDeviceCheck(
    CPU.device_class,
    "cpu:0",
    "host-a",
    "known",
    CheckState.DRIFTED,
    run="run-1",
    at_s=120.5,
    versions={"tvm": "0.27"},
    times=(1.3e-3, 1.4e-3, 1.2e-3),
    time_s=1.3e-3,
    reference_s=1e-3,
    drift=0.3,
    tries=3,
    marked=7,
    message="it is 30% slower",
    condition=CONDITION,
)


def key(n: int, of: int = 0) -> MeasurementKey:
    return MeasurementKey(workload(of).hash, CPU.device_class, f"candidate-{n}", f"token-{n}")


def again(n: int, seconds: float, *, drift: float | None = None, token: str = "again") -> NewMeasurement:
    measured = Measurement(TrialState.OK, (seconds,), "", "cpu:0", "host-a", 0.5)
    kind = MeasurementKind.RECHECKED
    return NewMeasurement(*PAIR, f"candidate-{n}", measured, kind, token, {"tvm": "0.27"}, drift=drift)


def standing(storage: Storage) -> dict[str, tuple[float | None, float | None]]:
    """Return what the trials of a workload cost, and by how much their devices had drifted."""
    return {row.candidate: (row.cost_s, row.drift) for row in storage.trials.of_workload(*PAIR)}


def test_a_check_is_stored_as_it_was_made(storage: Storage) -> None:
    stock(storage)
    number = campaign(storage, owner="me", ttl_s=60.0)
    storage.device_checks.put(CHECK, campaign_id=number, owner="me")
    unknown = replace(
        CHECK, state=CheckState.FAILED, times=(), time_s=None, drift=None, condition=Condition()
    )
    storage.device_checks.put(unknown, campaign_id=number, owner="me")
    first, second = storage.device_checks.of_campaign(number)
    assert (first.campaign_id, first.device_class, first.device, first.host) == (
        number,
        CPU.device_class,
        "cpu:0",
        "host-a",
    )
    assert (first.kernel, first.state, first.run, first.at_s) == ("known", CheckState.DRIFTED, "run-1", 120.5)
    assert (first.times, first.time_s, first.reference_s) == ((1.3e-3, 1.4e-3, 1.2e-3), 1.3e-3, 1e-3)
    assert (first.drift, first.tries, first.marked, first.message) == (0.3, 3, 7, "it is 30% slower")
    assert first.condition == CONDITION
    assert (second.state, second.times, second.drift, second.condition) == (
        CheckState.FAILED,
        (),
        None,
        Condition(),
    )
    assert first.checked_at <= second.checked_at
    storage.leases.take_over(number, "you", "me", 60.0)
    with pytest.raises(LeaseLostError):
        storage.device_checks.put(CHECK, campaign_id=number, owner="me")
    with pytest.raises(NotFoundError):
        storage.device_checks.put(replace(CHECK, device_class="nowhere"))
    assert len(storage.device_checks.of_campaign(number)) == 2


def test_a_device_is_held_against_its_own_last_level(storage: Storage) -> None:
    stock(storage)
    reference = storage.device_checks.reference
    assert reference(CHECK) is None
    storage.device_checks.put(CHECK)
    storage.device_checks.put(replace(CHECK, state=CheckState.LEVEL, reference_s=1.3e-3))
    # One that failed before there was any level says nothing.
    storage.device_checks.put(replace(CHECK, state=CheckState.FAILED, reference_s=None))
    assert reference(CHECK) == 1.3e-3
    # Nor does a release of this project make another toolchain.
    others = (
        {"device": "cpu:1"},
        {"host": "host-b"},
        {"kernel": "another"},
        {"versions": {"tvm": "0.28"}},
        {"device_class": GPU.device_class},
    )
    assert [reference(replace(CHECK, **change)) for change in others] == [None] * len(others)


def test_the_last_check_of_each_device_is_found(storage: Storage) -> None:
    stock(storage)
    number = campaign(storage)
    storage.device_checks.put(CHECK, campaign_id=number)
    storage.device_checks.put(replace(CHECK, at_s=240.0), campaign_id=number)
    storage.device_checks.put(replace(CHECK, host="host-b"))
    assert [(row.host, row.at_s) for row in storage.device_checks.latest()] == [
        ("host-a", 240.0),
        ("host-b", 120.5),
    ]
    assert [row.host for row in storage.device_checks.latest(number)] == ["host-a"]


def test_marks_are_put_on_what_was_measured_and_on_nothing_else(storage: Storage) -> None:
    stock(storage)
    number = campaign(storage, owner="me", ttl_s=60.0)
    lease = {"campaign_id": number, "owner": "me"}
    storage.trials.record([ok(1, 1.0), ok(2, 2.0), failed(3)])
    storage.trials.record([replace(ok(4, 4.0), drift=0.2)])
    # One of them was never stored.
    keys = [key(1), key(2)._replace(token="another attempt"), key(4), key(9)]
    assert storage.measurements.mark(keys, 0.5, **lease) == 1  # type: ignore[arg-type]
    assert storage.measurements.mark(keys, 0.9, **lease) == 0  # type: ignore[arg-type]
    assert storage.measurements.mark([], 0.5) == 0
    # A trial that has nothing else is judged by it all the same.
    assert standing(storage) == {
        "candidate-1": (1.0, 0.5),
        "candidate-2": (2.0, None),
        "candidate-3": (None, None),
        "candidate-4": (4.0, 0.2),
    }
    ids = [row.id for row in storage.trials.of_workload(*PAIR)]
    assert storage.measurements.drifts(ids) == {ids[0]: 0.5, ids[3]: 0.2}
    assert storage.trials.best(*PAIR)[0].drift == 0.5
    storage.leases.take_over(number, "you", "me", 60.0)
    with pytest.raises(LeaseLostError):
        storage.measurements.mark([key(2)], 0.5, **lease)  # type: ignore[arg-type]


def test_what_was_measured_on_a_steady_device_counts_before_what_was_not(storage: Storage) -> None:
    stock(storage)
    storage.trials.record([ok(1, 1.0), ok(2, 1.0)])
    storage.measurements.mark([key(1)], 0.5)
    storage.measurements.add([again(1, 0.7), again(2, 3.0, drift=2.0)])
    assert standing(storage) == {"candidate-1": (0.7, None), "candidate-2": (1.0, None)}
    # A later one that is marked takes nobody's place, and one whose mark comes later gives it up again.
    storage.measurements.add([again(1, 0.4, drift=-0.3, token="once more")])
    assert standing(storage)["candidate-1"] == (0.7, None)
    storage.measurements.mark([key(1)._replace(token="again")], 0.1)
    assert standing(storage)["candidate-1"] == (0.4, -0.3)


def test_what_may_be_the_best_of_a_drifted_time_is_found_again(storage: Storage) -> None:
    stock(storage, 0, 1, 2)
    hashes = [workload(n).hash for n in range(3)]
    find = storage.seeds.to_recheck
    storage.trials.record([ok(n, 1.0 + n / 10) for n in range(5)])
    assert find(CPU.device_class, hashes, 3) == {}
    # In a minute in which everything took twice as long: as 1.04, 0.9, 1.2 and 1.05 s.
    slow = [ok(10 + n, 2 * seconds) for n, seconds in enumerate((1.04, 0.9, 1.2, 1.05))]
    storage.trials.record([replace(one, drift=1.0) for one in slow])
    # Of a workload that has nothing else, and of one that isn't asked for.
    storage.trials.record([replace(ok(n, 5.0, of=n - 19), drift=1.0) for n in (20, 21)])
    found = find(CPU.device_class, hashes[:2], 3)
    assert {name: [one.hash for one in candidates] for name, candidates in found.items()} == {
        hashes[0]: ["candidate-11", "candidate-10", "candidate-13"],
        hashes[1]: ["candidate-20"],
    }
    assert found[hashes[1]][0].trace == '[["trace", 20]]'
    assert [one.hash for one in find(CPU.device_class, hashes, 1)[hashes[0]]] == ["candidate-11"]
    # What looks better than it is, for the device was faster.
    storage.trials.record([replace(ok(30, 0.8), drift=-0.4)])
    assert find(CPU.device_class, hashes, 1)[hashes[0]][0].hash == "candidate-30"
    # What was measured again is done with.
    storage.measurements.add([again(30, 1.4), again(11, 0.95), again(10, 1.04), again(13, 1.05)])
    assert find(CPU.device_class, hashes, 3).keys() == {hashes[1], hashes[2]}
    assert find(GPU.device_class, hashes, 3) == {}
    # Nor is what is stale: that is revalidated.
    storage.toolchains.adopt(CPU.device_class, {"tvm": "0.28"})
    assert find(CPU.device_class, hashes, 3) == {}
