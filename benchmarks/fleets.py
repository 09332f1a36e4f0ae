"""Fleets that take time instead of working, and what their waiting takes.

Two of them, through the same port: a simulation in this process, and the real fleet on Ray whose actors wait.
"""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ParamSpec, TypeVar

import ray

from benchmarks.store import VERSION, device, trace
from orchestrator.errors import EngineError
from orchestrator.fleet.completions import CandidateMeasured
from orchestrator.fleet.port import Completion, Device, DevicesWanted, Fleet, Work
from orchestrator.fleet.ray.actors import ActorClasses
from orchestrator.fleet.ray.fleet import RayFleet
from orchestrator.fleet.simulated import SimulatedFleet, Simulation, WallClock
from orchestrator.fleet.work import BuildWork, LearnWork, MeasureWork, OpenWork, ProposeWork, TrainWork
from workers.messages import (
    BuildResult,
    Candidate,
    DeviceInfo,
    EvaluatorConfig,
    Measurement,
    Record,
    SearchOptions,
    Station,
    TrialState,
    Workload,
)

#: Tasks of the model that is tuned.
TASKS = 40
#: How far times spread around their mean, to either side.
SPREAD = 0.3
DEVICE = device(0)
# A trace is made in about the time that recording it takes; there are as many as a database can't tell apart.
_TRACES = 500
_SAMPLE = random.Random(1).randbytes(16_000)
_VERSIONS = {"tvm": "0.27.0.post1", "llvm": "19", "engine": VERSION}

_P = ParamSpec("_P")
_Value = TypeVar("_Value")


@dataclass
class Meter:
    """The time something takes, on the clock and of the processor, in seconds."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    calls: int = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Add what is done within."""
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            self.wall_s += time.perf_counter() - wall
            self.cpu_s += time.thread_time() - cpu
            self.calls += 1

    def around(self, call: Callable[_P, _Value]) -> Callable[_P, _Value]:
        """Return a callable that adds what each call takes."""

        def metered(*args: _P.args, **kwargs: _P.kwargs) -> _Value:
            with self.running():
                return call(*args, **kwargs)

        return metered


@dataclass(frozen=True)
class Times:
    """Milliseconds of what the stand-in does: a mean, or times to draw from."""

    measure: float | list[float] = 300.0
    build: float | list[float] = 1000.0
    propose: float | list[float] = 2000.0
    learn: float | list[float] = 200.0
    open: float | list[float] = 500.0
    train: float | list[float] = 3000.0

    @property
    def mean_measure(self) -> float:
        """Of a measurement."""
        return sum(self.measure) / len(self.measure) if isinstance(self.measure, list) else self.measure

    def seconds(self, work: Work, rng: random.Random) -> float:
        """Draw what a piece of work takes."""
        match work:
            case OpenWork():
                return about(self.open, rng)
            case ProposeWork():
                return about(self.propose, rng)
            case LearnWork():
                return about(self.learn, rng)
            case TrainWork():
                return about(self.train, rng)
            case BuildWork():
                return about(self.build, rng)
            case MeasureWork():
                return about(self.measure, rng)


def about(ms: float | list[float], rng: random.Random) -> float:
    """Draw seconds around a mean, or from what was seen."""
    if isinstance(ms, list):
        return rng.choice(ms) / 1e3
    return ms / 1e3 * rng.uniform(1 - SPREAD, 1 + SPREAD)


class Invention:
    """Candidates and results that nobody searched and measured."""

    def __init__(self) -> None:
        self.random = random.Random(1)
        self._traces = [trace(self.random) for _ in range(_TRACES)]

    def candidates(self, count: int) -> tuple[Candidate, ...]:
        """Return new ones."""
        rng = self.random
        return tuple(Candidate(rng.randbytes(32).hex(), rng.choice(self._traces)) for _ in range(count))

    def measurement(self, name: str, run_s: float) -> Measurement:
        """Return one on a device of this name."""
        best = self.random.expovariate(1000.0)
        times = (best, best * 1.01, best * 0.98)
        return Measurement(TrialState.OK, times, "", name, "node-17", run_s)


class Waiting(Simulation):
    """Boards that wait as long as a measurement takes, and cores that wait in the same way."""

    def __init__(self, devices: int, times: Times) -> None:
        # What is built waits for the devices, so slots for all tasks' rounds are enough.
        super().__init__(
            slots=4 * TASKS + 16 * devices,
            versions=_VERSIONS,
            devices=lambda _: devices,
            clock=WallClock(),
            samples=_SAMPLE,
            model=_SAMPLE,
        )
        self._times, self._invention = times, Invention()

    def takes(self, work: Work) -> float:
        """Draw it."""
        return self._times.seconds(work, self._invention.random)

    def propose(self, work: ProposeWork, excluded: frozenset[str]) -> tuple[Candidate, ...]:
        """Return candidates that never were before."""
        return self._invention.candidates(work.count)

    def build(self, work: BuildWork, took_s: float) -> BuildResult:
        """Say how long it took."""
        return BuildResult(took_s)

    def measure(self, work: MeasureWork, took_s: float) -> Measurement:
        """Say how long it took, and on which device."""
        return self._invention.measurement(work.device.name, took_s)


class MeteredFleet:
    """Another fleet, and what it takes.

    Attributes
    ----------
    meter : Meter
        What the fleet's part of the calls takes that is not the coordinator's.
    measured : list of (float, Measurement)
        When each measurement was handed over, on the monotonic clock.
    took_ms : dict of str to list of float
        What each piece of work took, by its kind, from when it was given out to when its result was taken.
    """

    def __init__(self, fleet: Fleet, meter: Meter, *, itself: bool) -> None:
        self.meter = meter
        self.measured: list[tuple[float, Measurement]] = []
        self.took_ms: dict[str, list[float]] = {}
        self._fleet = fleet
        self._begun: dict[Work, float] = {}
        # Where all of it is a stand-in, none of it is the coordinator's.
        around = meter.around if itself else lambda call: call
        self._submit = around(fleet.submit)
        self._idle_devices = around(fleet.idle_devices)
        self._wait = around(fleet.wait)

    def submit(self, work: Work) -> None:
        """Note when."""
        self._begun[work] = time.monotonic()
        self._submit(work)

    def wait(self, timeout_s: float) -> Sequence[Completion]:
        """Note what was measured and how long all took."""
        ended = self._wait(timeout_s)
        now = time.monotonic()
        for completion in ended:
            begun = self._begun.pop(completion.work)
            match completion:
                case CandidateMeasured(_, measurement):
                    self.measured.append((now, measurement))
                case _:
                    kind = _KINDS[type(completion.work)]
                    self.took_ms.setdefault(kind, []).append((now - begun) * 1e3)
        return ended

    def idle_devices(self) -> Sequence[Device]:
        """As the fleet has it."""
        return self._idle_devices()

    # -- as the fleet has it, and next to nothing

    @property
    def versions(self) -> Mapping[str, str]:
        """As the fleet has it."""
        return self._fleet.versions

    @property
    def total_slots(self) -> int:
        """As the fleet has it."""
        return self._fleet.total_slots

    @property
    def free_slots(self) -> int:
        """As the fleet has it."""
        return self._fleet.free_slots

    @property
    def computing(self) -> int:
        """As the fleet has it."""
        return self._fleet.computing

    @property
    def all_devices(self) -> Sequence[Device]:
        """As the fleet has it."""
        return self._fleet.all_devices

    @property
    def ready_devices(self) -> Mapping[str, int]:
        """As the fleet has it."""
        return self._fleet.ready_devices

    @property
    def coming(self) -> bool:
        """As the fleet has it."""
        return self._fleet.coming

    @property
    def paused_here(self) -> bool:
        """As the fleet has it."""
        return self._fleet.paused_here

    def start(
        self, say: Callable[[str], None] = lambda _: None, stopped: Callable[[], bool] = lambda: False
    ) -> bool:
        """As the fleet has it."""
        return self._fleet.start(say, stopped)

    def stop(self) -> None:
        """As the fleet has it."""
        self._fleet.stop()

    def need(self, wanted: DevicesWanted) -> None:
        """As the fleet has it."""
        self._fleet.need(wanted)

    def lacking(self, device_classes: Sequence[str]) -> EngineError | None:
        """As the fleet has it."""
        return self._fleet.lacking(device_classes)

    def check(self, device_classes: Sequence[str]) -> None:
        """As the fleet has it."""
        self._fleet.check(device_classes)

    def find(self, targets: tuple[str, ...], stopped: Callable[[], bool]) -> dict[str, DeviceInfo]:
        """As the fleet has it."""
        return self._fleet.find(targets, stopped)

    def close_search(self, session: str) -> None:
        """As the fleet has it."""
        self._fleet.close_search(session)

    def pause(self, device: Device) -> None:
        """As the fleet has it."""
        self._fleet.pause(device)

    def resume(self, device: Device) -> None:
        """As the fleet has it."""
        self._fleet.resume(device)

    def reserve_cores(self) -> bool:
        """As the fleet has it."""
        return self._fleet.reserve_cores()

    def release_cores(self) -> None:
        """As the fleet has it."""
        self._fleet.release_cores()


_KINDS: dict[type[Work], str] = {
    OpenWork: "open",
    ProposeWork: "propose",
    LearnWork: "learn",
    TrainWork: "train",
    BuildWork: "build",
    MeasureWork: "measure",
}


def simulated(devices: int, times: Times) -> MeteredFleet:
    """Return a fleet that is a simulation in this process."""
    fleet = SimulatedFleet(Waiting(devices, times), _boards(DEVICE))
    return MeteredFleet(fleet, Meter(), itself=True)


def on_ray(
    devices: int, times: Times, *, slots: int | None = None, device: DeviceInfo = DEVICE
) -> MeteredFleet:
    """Return the real fleet on a Ray of its own, whose actors wait. What Ray is waited for is metered.

    Parameters
    ----------
    slots : int, optional
        Searches and builds at once; as many as the devices can ever want, where it is left out.
    device : DeviceInfo, optional
        What all of them are.
    """
    meter = Meter()
    fleet = RayFleet(
        settings(devices, times),
        _boards(device),
        # Ray would start a process for each CPU it is said to have.
        slots=2,
        node_slots=slots or 4 * TASKS + 16 * devices,
        actors=ActorClasses(WaitingSearch, WaitingBuild, WaitingMeasure),
        await_refs=_metered_wait(meter),
    )
    return MeteredFleet(fleet, meter, itself=False)


def _boards(device: DeviceInfo) -> DevicesWanted:
    return DevicesWanted(boards={"board": device}, tracker=("127.0.0.1", 1))


def _metered_wait(
    meter: Meter,
) -> Callable[..., tuple[list[ray.ObjectRef[object]], list[ray.ObjectRef[object]]]]:
    def wait(
        refs: list[ray.ObjectRef[object]], *, num_returns: int, timeout: float
    ) -> tuple[list[ray.ObjectRef[object]], list[ray.ObjectRef[object]]]:
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            return ray.wait(refs, num_returns=num_returns, timeout=timeout)
        finally:
            # What Ray computes meanwhile in this thread is the coordinator's.
            meter.wall_s += time.perf_counter() - wall - (time.thread_time() - cpu)

    return wait


def settings(devices: int, times: Times) -> str:
    """Write what waiting actors are told; it is the name of their engine."""
    return json.dumps({"devices": devices, **asdict(times)})


class _WaitingActor:
    """What the actors have in common: the engine's name is the times they wait, as JSON."""

    def __init__(self, engine: str, *_: object) -> None:
        values = json.loads(engine)
        self._devices: int = values.pop("devices")
        self._times = Times(**values)
        self._invention = Invention()

    def start(self) -> tuple[str, int | None, dict[str, str]]:
        return "node-17", None, _VERSIONS

    def cores(self) -> tuple[int, ...]:
        return (0, 1)

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def _wait(self, ms: float | list[float]) -> float:
        seconds = about(ms, self._invention.random)
        time.sleep(seconds)
        return seconds


class WaitingSearch(_WaitingActor):
    """Searches that propose what nobody searched."""

    def open(
        self,
        session: str,
        workload: Workload,
        target: str,
        options: SearchOptions,
        history: tuple[Record, ...],
        related: tuple[tuple[Workload, Record], ...],
        timeout_s: float,
    ) -> bytes:
        """Wait."""
        self._wait(self._times.open)
        return b""

    def propose(
        self,
        session: str,
        count: int,
        cost_model: bytes | None,
        timeout_s: float,
        lent: tuple[tuple[Workload, Record], ...] = (),
    ) -> tuple[Candidate, ...]:
        """Wait, and return new candidates."""
        self._wait(self._times.propose)
        return self._invention.candidates(count)

    def learn(self, session: str, records: tuple[Record, ...], timeout_s: float) -> bytes:
        """Wait, and return as many bytes as samples have."""
        self._wait(self._times.learn)
        return _SAMPLE

    def train(self, samples: tuple[bytes, ...], timeout_s: float) -> bytes:
        """Wait, and return as many bytes as a model has."""
        self._wait(self._times.train)
        return _SAMPLE

    def close(self, session: str) -> None:
        """Do nothing: there is no search."""


class WaitingBuild(_WaitingActor):
    """Builds of what nobody builds."""

    def build(
        self, workload: Workload, target: str, candidate: Candidate, timeout_s: float
    ) -> tuple[BuildResult, bytes]:
        """Wait."""
        return BuildResult(self._wait(self._times.build)), _SAMPLE


class WaitingMeasure(_WaitingActor):
    """Boards behind a tracker that is not there."""

    def offer(self, wanted: tuple[DeviceInfo, ...]) -> tuple[Station, ...]:
        """Have no device of its own."""
        return ()

    def tracked(self, host: str, port: int) -> dict[str, int]:
        """Know as many boards as it was told."""
        return {"board": self._devices}

    def serve(self) -> None:
        """Start nothing."""

    def measure(
        self,
        artifact: bytes,
        station: Station,
        evaluator: EvaluatorConfig,
        best_known_s: float | None = None,
    ) -> Measurement:
        """Wait."""
        name = f"{station.key}#{station.index}"
        return self._invention.measurement(name, self._wait(self._times.measure))
