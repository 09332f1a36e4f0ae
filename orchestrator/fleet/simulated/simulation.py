"""What is there on a simulated fleet, what comes of work on it, and how long that takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.errors import TunefleetError
from orchestrator.fleet.simulated.clock import Clock, ManualClock
from orchestrator.fleet.simulated.diary import Diary, Happening
from orchestrator.fleet.work import BuildWork, CheckWork, MeasureWork, ProposeWork, Work
from workers.messages import (
    BuildResult,
    Candidate,
    CheckedDevice,
    Condition,
    DeviceInfo,
    Measurement,
    TrialState,
)

__all__ = ["Simulation"]


def _no_failure(happening: Happening, number: int) -> TunefleetError | None:
    return None


def _faster_each_time(number: int) -> Measurement:
    return Measurement(TrialState.OK, (1.0 / number,), device="cpu:0", host="here")


def _as_fast_as_ever(number: int, device: str) -> float:
    return 1e-3


def _one_each(device: DeviceInfo) -> int:
    return 1


@dataclass(eq=False)
class Simulation:
    """A script for a simulated fleet, and what has happened on it; several fleets may follow it in turn.

    Its methods say what comes of work and how long that takes: here at once, and all is well. A subclass may
    say otherwise; tests set what is an attribute.

    Attributes
    ----------
    slots : int
        Searches and builds at once.
    shares_cores : bool
        Devices that aren't boards are the cores that search and build, so that they have to take turns.
    devices : callable
        How many there are of a class that is wanted.
    elsewhere : mapping of str to DeviceInfo
        What targets mean on its machines.
    fails : callable
        Given a kind of work and how many of it have ended, the error that this one ends with, or None.
    samples, model : bytes
        What searches learn, and what is trained from it.
    measurement : callable
        Given how many have ended, what comes of a measurement.
    known_kernel_s : callable
        Given how often it was timed, and on which device, what the known kernel takes (seconds); 0 where
        the device is lost.
    condition : Condition
        What its machine tells of itself.
    diary : Diary or None
        Where what is asked is written down; None for nowhere.
    counts : Counter
        How many have ended, by their kind.
    engines : list of str
        For which fleets were made, in order.
    running : int
        Fleets that were started and not stopped.
    sessions : set of str
        Searches that are open.
    measured : set of str
        Candidates that were measured, by their hashes.
    """

    slots: int = 2
    shares_cores: bool = True
    versions: Mapping[str, str] = field(default_factory=lambda: {"tvm": "0.27"})
    devices: Callable[[DeviceInfo], int] = _one_each
    elsewhere: Mapping[str, DeviceInfo] = field(default_factory=dict)
    clock: Clock = field(default_factory=ManualClock)
    fails: Callable[[Happening, int], TunefleetError | None] = _no_failure
    samples: bytes = b""
    model: bytes = b"model"
    measurement: Callable[[int], Measurement] = _faster_each_time
    known_kernel_s: Callable[[int, str], float] = _as_fast_as_ever
    condition: Condition = field(default_factory=Condition)
    diary: Diary | None = None
    counts: Counter[str] = field(default_factory=Counter)
    engines: list[str] = field(default_factory=list)
    running: int = 0
    sessions: set[str] = field(default_factory=set)
    measured: set[str] = field(default_factory=set)
    _proposed: Counter[str] = field(default_factory=Counter)

    def note(self, happening: Happening, work: Work | None = None) -> None:
        """Write down what happened, where there is a diary."""
        if self.diary is not None:
            self.diary.note(happening, work)

    def takes(self, work: Work) -> float:
        """Return how many seconds a piece of work takes on the clock."""
        return 0.0

    def propose(self, work: ProposeWork, excluded: frozenset[str]) -> tuple[Candidate, ...]:
        """Return what a search proposes, without the candidates it was opened to leave out.

        Names that are numbered, for each task apart, and without end.
        """
        # By task, not by session: an engine takes up where the stored candidates end.
        task = work.session.rsplit("-", 1)[0]
        found: list[Candidate] = []
        while len(found) < work.count:
            name = f"{task}-{self._proposed[task]}"
            self._proposed[task] += 1
            if name not in excluded:
                found.append(Candidate(name, f"trace {name}"))
        return tuple(found)

    def build(self, work: BuildWork, took_s: float) -> BuildResult:
        """Return what comes of a build."""
        return BuildResult(0.1)

    def measure(self, work: MeasureWork, took_s: float) -> Measurement:
        """Return what comes of a measurement."""
        return self.measurement(self.counts[Happening.MEASURE] + self.counts[Happening.REMEASURE])

    def check(self, work: CheckWork, took_s: float) -> CheckedDevice:
        """Return what comes of timing the known kernel."""
        station = work.device.station
        seconds = self.known_kernel_s(self.counts[Happening.CHECK], work.device.name)
        state = TrialState.OK if seconds else TrialState.DEVICE_LOST
        times, message = ((seconds,), "") if seconds else ((), "the device went away")
        measurement = Measurement(state, times, message, station.key, work.device.host, took_s)
        return CheckedDevice(measurement, self.condition)
