"""What is there on a simulated fleet, what comes of work on it, and how long that takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.errors import TunefleetError
from orchestrator.fleet.simulated.clock import Clock, ManualClock
from orchestrator.fleet.simulated.diary import Diary, Happening
from orchestrator.fleet.work import ProposeWork, Work
from workers.messages import BuildResult, Candidate, DeviceInfo, Measurement, TrialState

__all__ = ["Simulation"]


def _no_failure(happening: Happening, number: int) -> TunefleetError | None:
    return None


def _faster_each_time(number: int) -> Measurement:
    return Measurement(TrialState.OK, (1.0 / number,), device="cpu:0", host="here")


def _one_each(device: DeviceInfo) -> int:
    return 1


def _at_once(work: Work) -> float:
    return 0.0


def _good_build(number: int) -> BuildResult:
    return BuildResult(0.1)


@dataclass(eq=False)
class Simulation:
    """A script for a simulated fleet, and what has happened on it; several fleets may follow it in turn.

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
    seconds : callable
        What a piece of work takes on the clock.
    fails : callable
        Given a kind of work and how many of it have ended, the error that this one ends with, or None.
    candidates : callable or None
        What a search proposes; by default names that are numbered, for each task apart, without end.
    samples, model : bytes
        What searches learn, and what is trained from it.
    built, measurement : callable
        Given how many have ended, what comes of a build and of a measurement.
    diary : Diary or None
        Where what is asked is written down; None for nowhere.
    counts : Counter
        How many have ended, by their kind.
    engines : list of str
        For which fleets were made, in order.
    """

    slots: int = 2
    shares_cores: bool = True
    versions: Mapping[str, str] = field(default_factory=lambda: {"tvm": "0.27"})
    devices: Callable[[DeviceInfo], int] = _one_each
    elsewhere: Mapping[str, DeviceInfo] = field(default_factory=dict)
    clock: Clock = field(default_factory=ManualClock)
    seconds: Callable[[Work], float] = _at_once
    fails: Callable[[Happening, int], TunefleetError | None] = _no_failure
    candidates: Callable[[ProposeWork], tuple[Candidate, ...]] | None = None
    samples: bytes = b""
    model: bytes = b"model"
    built: Callable[[int], BuildResult] = _good_build
    measurement: Callable[[int], Measurement] = _faster_each_time
    diary: Diary | None = None
    counts: Counter[str] = field(default_factory=Counter)
    engines: list[str] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    measured: set[str] = field(default_factory=set)  # candidates, by their hashes
    _proposed: Counter[str] = field(default_factory=Counter)

    def note(self, happening: Happening, work: Work | None = None) -> None:
        """Write down what happened, where there is a diary."""
        if self.diary is not None:
            self.diary.note(happening, work)

    def propose(self, work: ProposeWork, excluded: frozenset[str]) -> tuple[Candidate, ...]:
        """Return what a search proposes, without the candidates it was opened to leave out."""
        if self.candidates is not None:
            return self.candidates(work)
        # By task, not by session: an engine takes up where the stored candidates end.
        task = work.session.rsplit("-", 1)[0]
        found: list[Candidate] = []
        while len(found) < work.count:
            name = f"{task}-{self._proposed[task]}"
            self._proposed[task] += 1
            if name not in excluded:
                found.append(Candidate(name, f"trace {name}"))
        return tuple(found)
