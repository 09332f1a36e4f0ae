"""Searches, builds and devices that take time instead of working: how long, and what comes of it."""

from __future__ import annotations

import json
import random
import time
from dataclasses import asdict, dataclass

from benchmarks.store import VERSION, device, trace
from orchestrator.fleet.port import Work
from orchestrator.fleet.simulated import Simulation, WallClock
from orchestrator.fleet.work import (
    BuildWork,
    CheckWork,
    LearnWork,
    MeasureWork,
    OpenWork,
    ProposeWork,
    TrainWork,
)
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

__all__ = [
    "DEVICE",
    "TASKS",
    "Times",
    "Waiting",
    "WaitingBuild",
    "WaitingMeasure",
    "WaitingSearch",
    "settings",
]

#: Tasks of the model that is tuned.
TASKS = 40
#: How far times spread around their mean, to either side.
SPREAD = 0.3
DEVICE = device(0)
# A trace is made in about the time that recording it takes; there are as many as a database can't tell apart.
_TRACES = 500
_SAMPLE = random.Random(1).randbytes(16_000)
_VERSIONS = {"tvm": "0.27.0.post1", "llvm": "19", "engine": VERSION}


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
            case MeasureWork() | CheckWork():
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
        self, workload: Workload, target: str, candidate: Candidate, timeout_s: float, checked: bool = False
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
