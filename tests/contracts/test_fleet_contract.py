"""What every fleet promises, asked through the port alone. Another fleet is one more entry of ``FLEETS``."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest
from ray.cluster_utils import Cluster

from orchestrator.errors import EngineError, EngineLostError
from orchestrator.fleet.choose import choose_backend
from orchestrator.fleet.completions import (
    CandidateBuilt,
    CandidateMeasured,
    CandidatesProposed,
    Completion,
    DeviceChecked,
    ModelTrained,
    ResultsLearned,
    SearchOpened,
    WorkFailed,
)
from orchestrator.fleet.port import Device, DeviceState, DevicesWanted, Fleet, FleetBackend, Work
from orchestrator.fleet.simulated import Happening, Simulation, offer
from orchestrator.fleet.work import (
    ArtifactHandle,
    BuildWork,
    CheckWork,
    LearnWork,
    MeasureWork,
    OpenWork,
    ProposeWork,
    TrainWork,
)
from tests.kit.lean_ray import LEAN
from tests.kit.planned_campaigns import CPU, workload
from workers.messages import (
    Candidate,
    Condition,
    DeviceInfo,
    EvaluatorConfig,
    Measurement,
    Record,
    SearchOptions,
    TrialState,
)

ENGINE = "stand_in_engines.quick"
ONE_CORE = DeviceInfo("one core", "cpu-a-1", "Some CPU", 1, "cpu")
NOWHERE = DeviceInfo("elsewhere", "cpu-b-9", "Other CPU", 9, "cpu")
SLOTS = 2
SECONDS = 30.0


class Place(Protocol):
    """Where fleets of a kind are."""

    @property
    def address(self) -> str: ...
    @property
    def slots(self) -> int | None: ...
    def lose_the_next_builder(self) -> Candidate:
        """Return a candidate over whose build its worker is lost."""


class SimulatedPlace:
    """A simulation of this machine."""

    slots: int | None = SLOTS

    def __init__(self) -> None:
        self._simulation = Simulation(
            devices=lambda info: 0 if info == NOWHERE else 1,
            elsewhere={CPU.target: CPU},
        )
        self.address = offer(self._simulation)

    def lose_the_next_builder(self) -> Candidate:
        doomed = self._simulation.counts[Happening.BUILD] + 1
        self._simulation.fails = lambda kind, number: (
            EngineLostError("it died") if (kind, number) == (Happening.BUILD, doomed) else None
        )
        return Candidate("innocent", "trace")


class RayPlace:
    """A Ray of one node. The engine is a stand-in, which kills itself when it is asked to."""

    slots: int | None = None

    def __init__(self, address: str) -> None:
        self.address = address

    def lose_the_next_builder(self) -> Candidate:
        return Candidate("kills its engine", "trace")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": SLOTS, **LEAN})
    yield made
    made.shutdown()


FLEETS = ["simulated", "ray"]


@pytest.fixture(scope="module", params=FLEETS)
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "simulated":
        return SimulatedPlace()
    return RayPlace(request.getfixturevalue("cluster").address)


def made(place: Place, *wanted: DeviceInfo) -> Fleet:
    backend: FleetBackend = choose_backend(place.address)
    return backend.make(ENGINE, DevicesWanted(wanted), place.address, place.slots)


# -- fleets of a test's own: they come before the one that the others share


def test_a_fleet_without_a_device_of_a_class_does_not_start_and_names_it(place: Place) -> None:
    fleet = made(place, CPU, NOWHERE)
    with pytest.raises(EngineError, match=r"cpu-b-9"):
        fleet.start()
    fleet.stop()


def test_a_start_that_is_not_wanted_any_more_ends_early_and_a_stop_may_come_twice(place: Place) -> None:
    fleet = made(place, CPU)
    fleet.stop()
    assert not fleet.start(lambda _: None, lambda: True)
    fleet.stop()
    fleet.stop()


def test_targets_are_found_without_a_fleet(place: Place) -> None:
    find = choose_backend(place.address).find_devices
    found = find(ENGINE, place.address, (CPU.target, "rare"), lambda _: None, lambda: False)
    assert {target: info.device_class for target, info in found.items()} == {CPU.target: CPU.device_class}


# -- one that is shared


@pytest.fixture(scope="module")
def fleet(place: Place) -> Iterator[Fleet]:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    fleet = made(place, CPU)
    assert fleet.start()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    yield fleet
    fleet.stop()


def ended(fleet: Fleet, *works: Work) -> list[Completion]:
    """Wait until all of it has ended, and return the completions in the order of the work."""
    found: dict[Work, Completion] = {}
    until = time.monotonic() + SECONDS
    while len(found) < len(works):
        assert time.monotonic() < until, f"no end of {[work for work in works if work not in found]}"
        for completion in fleet.wait(0.5):
            assert completion.work not in found, "it ended twice"
            found[completion.work] = completion
    return [found[work] for work in works]


def done(fleet: Fleet, work: Work) -> Completion:
    """Begin a piece of work and wait for its end."""
    fleet.submit(work)
    return ended(fleet, work)[0]


def opening(session: str) -> OpenWork:
    return OpenWork(session, workload(1), CPU.target, SearchOptions(), (), (), SECONDS)


def building(name: str = "candidate") -> BuildWork:
    return BuildWork(workload(1), CPU.target, Candidate(name, "trace"), SECONDS)


def built(fleet: Fleet, name: str = "candidate") -> ArtifactHandle:
    completion = done(fleet, building(name))
    assert isinstance(completion, CandidateBuilt), completion
    assert completion.result.state is TrialState.OK
    return completion.artifact


def only_device(fleet: Fleet) -> Device:
    return next(device for device in fleet.idle_devices() if device.device_class == CPU.device_class)


def test_what_there_is_is_told(fleet: Fleet) -> None:
    (device,) = fleet.all_devices
    assert (device.device_class, device.state, device.busy) == (CPU.device_class, DeviceState.READY, False)
    assert device.station.device.device_class == CPU.device_class
    assert device.host
    assert device.place
    assert not device.paused
    assert list(fleet.idle_devices()) == [device]
    assert dict(fleet.ready_devices) == {CPU.device_class: 1}
    assert 1 <= fleet.total_slots <= SLOTS  # fewer, where the device takes cores away
    assert (fleet.free_slots, fleet.computing) == (fleet.total_slots, 0)
    assert all(isinstance(name, str) and version for name, version in fleet.versions.items())
    assert fleet.versions
    assert not fleet.coming
    assert fleet.lacking([CPU.device_class]) is None
    fleet.check([CPU.device_class])


def test_each_kind_of_work_ends_in_its_own_completion_that_holds_the_work(fleet: Fleet) -> None:
    opened = done(fleet, opening("each-1"))
    assert isinstance(opened, SearchOpened)
    assert isinstance(opened.samples, bytes)
    proposed = done(fleet, ProposeWork("each-1", 3, None, SECONDS))
    assert isinstance(proposed, CandidatesProposed)
    assert len({candidate.hash for candidate in proposed.candidates}) == 3
    records = tuple(Record(candidate, (1.0,)) for candidate in proposed.candidates)
    learned = done(fleet, LearnWork("each-1", records, SECONDS))
    assert isinstance(learned, ResultsLearned)
    assert isinstance(learned.samples, bytes)
    trained = done(fleet, TrainWork((b"sample",), SECONDS))
    assert isinstance(trained, ModelTrained)
    assert isinstance(trained.model, bytes)
    work = building(proposed.candidates[0].hash)
    candidate = done(fleet, work)
    assert isinstance(candidate, CandidateBuilt)
    assert candidate.work is work
    assert candidate.result.build_s >= 0
    fleet.close_search("each-1")
    fleet.close_search("never opened")


def test_a_measurement_makes_its_device_busy_and_counts(fleet: Fleet) -> None:
    artifact, device = built(fleet), only_device(fleet)
    before = device.measured
    fleet.pause(device)
    work = MeasureWork(artifact, device, EvaluatorConfig(), 0.5)
    fleet.submit(work)
    assert device.busy
    assert fleet.idle_devices() == []
    (completion,) = ended(fleet, work)
    fleet.resume(device)
    assert isinstance(completion, CandidateMeasured)
    assert isinstance(completion.measurement, Measurement)
    assert completion.measurement.state is TrialState.OK, completion.measurement.message
    assert (device.busy, device.measured) == (False, before + 1)
    assert list(fleet.idle_devices()) == [device]


def test_a_check_makes_its_device_busy_and_counts_as_no_measurement(fleet: Fleet) -> None:
    artifact, device = built(fleet), only_device(fleet)
    before = device.measured
    fleet.pause(device)
    work = CheckWork(artifact, device, EvaluatorConfig())
    fleet.submit(work)
    assert device.busy
    (completion,) = ended(fleet, work)
    # What was built for it is good for another time.
    again = CheckWork(artifact, device, EvaluatorConfig())
    fleet.submit(again)
    (second,) = ended(fleet, again)
    fleet.resume(device)
    assert isinstance(completion, DeviceChecked)
    assert isinstance(second, DeviceChecked)
    for checked in (completion.checked, second.checked):
        assert checked.measurement.state is TrialState.OK, checked.measurement.message
        assert isinstance(checked.condition, Condition)
    assert (device.busy, device.measured) == (False, before)


def test_work_takes_a_slot_until_it_ends(fleet: Fleet) -> None:
    total = fleet.total_slots
    works = [building(f"number {number}") for number in range(total)]
    for count, work in enumerate(works, start=1):
        fleet.submit(work)
        assert (fleet.free_slots, fleet.computing) == (total - count, count)
    assert all(isinstance(completion, CandidateBuilt) for completion in ended(fleet, *works))
    assert (fleet.free_slots, fleet.computing, fleet.total_slots) == (total, 0, total)


def test_two_pieces_of_work_that_are_alike_are_told_apart(fleet: Fleet) -> None:
    first, second = building(), building()
    fleet.submit(first)
    fleet.submit(second)
    assert [completion.work for completion in ended(fleet, first, second)] == [first, second]


def test_a_search_that_is_not_open_is_lost_and_that_is_nobodys_doing(fleet: Fleet) -> None:
    for work in (ProposeWork("nobody's", 1, None, SECONDS), LearnWork("nobody's", (), SECONDS)):
        completion = done(fleet, work)
        assert isinstance(completion, WorkFailed)
        assert isinstance(completion.error, EngineLostError)
        assert (completion.lost, completion.moved) == (True, True)
    assert fleet.free_slots == fleet.total_slots


def test_a_worker_that_dies_loses_its_work_and_the_next_is_done(fleet: Fleet, place: Place) -> None:
    doomed = BuildWork(workload(1), CPU.target, place.lose_the_next_builder(), SECONDS)
    completion = done(fleet, doomed)
    assert isinstance(completion, WorkFailed)
    assert completion.work is doomed
    assert isinstance(completion.error, EngineLostError)
    assert (completion.lost, completion.moved) == (True, False)
    assert fleet.free_slots == fleet.total_slots
    built(fleet)


def test_nothing_is_begun_on_cores_that_stand_still_and_it_goes_on_after(fleet: Fleet) -> None:
    device, work = only_device(fleet), building()
    fleet.submit(work)
    fleet.pause(device)
    fleet.pause(device)
    assert device.paused
    assert fleet.paused_here
    assert (fleet.free_slots, fleet.computing) == (0, 0)
    fleet.resume(device)
    assert not device.paused
    assert not fleet.paused_here
    assert isinstance(ended(fleet, work)[0], CandidateBuilt)
    assert fleet.free_slots == fleet.total_slots


def test_cores_that_are_reserved_are_quiet_when_the_last_measurement_has_ended(
    fleet: Fleet, eventually: Callable[..., None]
) -> None:
    artifact, device = built(fleet), only_device(fleet)
    fleet.pause(device)
    work = MeasureWork(artifact, device, EvaluatorConfig())
    fleet.submit(work)
    assert not fleet.reserve_cores()
    ended(fleet, work)
    assert fleet.reserve_cores()
    assert (list(fleet.idle_devices()), fleet.free_slots, fleet.paused_here) == ([], 0, True)
    # A turn that ends is no reason to disturb who has them.
    fleet.resume(device)
    assert (fleet.free_slots, fleet.paused_here) == (0, True)
    fleet.release_cores()
    assert (len(fleet.idle_devices()), fleet.free_slots, fleet.paused_here) == (
        1,
        fleet.total_slots,
        False,
    )


def test_waiting_for_nothing_ends_in_time(fleet: Fleet) -> None:
    started = time.monotonic()
    assert fleet.wait(0.2) == []
    assert time.monotonic() - started < 5


def test_targets_are_found_on_a_running_fleet(fleet: Fleet) -> None:
    found = fleet.find((CPU.target, "rare"), lambda: False)
    assert {target: info.device_class for target, info in found.items()} == {CPU.target: CPU.device_class}


def test_a_class_that_is_needed_later_comes_and_one_that_is_nowhere_is_named(
    fleet: Fleet, eventually: Callable[..., None]
) -> None:
    fleet.need(DevicesWanted((ONE_CORE, NOWHERE)))
    eventually(lambda: fleet.wait(0.1) or not fleet.coming, "what is needed is there", SECONDS)
    assert fleet.lacking([CPU.device_class, ONE_CORE.device_class]) is None
    lacking = fleet.lacking([NOWHERE.device_class])
    assert isinstance(lacking, EngineError)
    assert NOWHERE.device_class in str(lacking)
    both = list(fleet.idle_devices())
    assert {device.device_class for device in both} == {CPU.device_class, ONE_CORE.device_class}
    # Both are this machine's cores: where one is measured on, the other waits.
    assert len({device.place for device in both}) == 1
    artifact = built(fleet)
    fleet.pause(both[0])
    work = MeasureWork(artifact, both[0], EvaluatorConfig())
    fleet.submit(work)
    assert fleet.idle_devices() == []
    ended(fleet, work)
    fleet.resume(both[0])
    assert len(fleet.idle_devices()) == 2


def test_a_stop_ends_what_is_under_way_and_all_else(fleet: Fleet) -> None:
    fleet.submit(building())
    fleet.stop()
    fleet.stop()
