"""The simulated fleet: what it is given ends when it is time, in this process."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.errors import EngineError, EngineLostError
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
from orchestrator.fleet.port import Device, DeviceState, DevicesWanted
from orchestrator.fleet.simulated.device import SimulatedDevice
from orchestrator.fleet.simulated.diary import Happening
from orchestrator.fleet.simulated.machine import Machine
from orchestrator.fleet.simulated.simulation import Simulation
from orchestrator.fleet.work import (
    ArtifactHandle,
    BuildWork,
    CheckWork,
    DeviceWork,
    LearnWork,
    MeasureWork,
    OpenWork,
    ProposeWork,
    TrainWork,
    Work,
)
from workers.messages import DeviceInfo, Measurement, Station, TrialState

__all__ = ["SimulatedFleet"]

# When a piece of work ends, its number, itself, and how long it takes.
_Due = tuple[float, int, Work, float]


@dataclass(frozen=True)
class _Artifact(ArtifactHandle):
    candidate: str  # its hash


class SimulatedFleet:
    """What a :class:`~orchestrator.fleet.simulated.simulation.Simulation` says; see
    :class:`orchestrator.fleet.port.Fleet`.

    Parameters
    ----------
    slots : int, optional
        Instead of the simulation's.
    """

    def __init__(self, simulation: Simulation, wanted: DevicesWanted, *, slots: int | None = None) -> None:
        self.simulation = simulation
        self.versions = simulation.versions
        self._slots = simulation.slots if slots is None else slots
        self._machine = Machine()
        self._started = False
        self._devices: list[SimulatedDevice] = []
        self._wanted = DevicesWanted()
        self._ready: Counter[str] = Counter()
        self._idle: dict[SimulatedDevice, None] = {}
        self._computing: list[_Due] = []
        self._measuring: list[_Due] = []
        self._numbers = itertools.count()
        self._excluded: dict[str, frozenset[str]] = {}
        self.need(wanted)

    # -- its life

    def start(
        self, say: Callable[[str], None] = lambda _: None, stopped: Callable[[], bool] = lambda: False
    ) -> bool:
        """Say whether it is still wanted; there is nothing to be made ready.

        Raises
        ------
        EngineError
            Where a device class that is wanted has no device.
        """
        if lacking := self.lacking(self._wanted.device_classes):
            raise lacking
        self._started = True
        self.simulation.running += 1
        return not stopped()

    def stop(self) -> None:
        """Forget what is under way, and close all searches."""
        self.simulation.running -= self._started
        self._started = False
        self._computing.clear()
        self._measuring.clear()
        self.simulation.sessions -= self._excluded.keys()

    # -- what it measures on

    def need(self, wanted: DevicesWanted) -> None:
        """Have more classes measured on, from now on."""
        known = set(self._wanted.device_classes)
        self._wanted = self._wanted.and_more(wanted)
        simulation = self.simulation
        fresh: list[SimulatedDevice] = []
        for info in self._wanted.devices:
            for index in range(simulation.devices(info) if info.device_class not in known else 0):
                station = Station(info.device_class, info, index)
                name = f"{info.device_class}.{index} on {self._machine.name}"
                shares = simulation.shares_cores
                machine = self._machine if info.kind == "cpu" else None
                fresh.append(SimulatedDevice(name, self._machine.name, station, shares, machine))
        for key, info in self._wanted.boards.items():
            for index in range(simulation.devices(info) if info.device_class not in known else 0):
                station = Station(key, info, index, self._wanted.tracker)
                fresh.append(SimulatedDevice(f"{key}#{index}" if index else key, key, station))
        self._devices += fresh
        self._idle.update(dict.fromkeys(fresh))
        self._ready.update(device.device_class for device in fresh)

    @property
    def coming(self) -> bool:
        """All there will be is there."""
        return False

    def lacking(self, device_classes: Sequence[str]) -> EngineError | None:
        """Say which of these classes has no device."""
        there = {device.device_class for device in self._devices}
        lacking = [name for name in dict.fromkeys(device_classes) if name not in there]
        return EngineError(f"no device of class {', '.join(lacking)} is simulated") if lacking else None

    def check(self, device_classes: Sequence[str]) -> None:
        """See whether each class still has a device: none that is given up comes back.

        Raises
        ------
        EngineLostError
            One has none.
        """
        for name in device_classes:
            if not self._ready[name]:
                raise EngineLostError(f"there was no device of class {name}")

    def find(self, targets: tuple[str, ...], stopped: Callable[[], bool]) -> dict[str, DeviceInfo]:
        """Find out which devices targets mean."""
        known = self.simulation.elsewhere
        return {target: known[target] for target in targets if target in known}

    # -- how it stands

    @property
    def total_slots(self) -> int:
        """Searches and builds at once."""
        return self._slots

    @property
    def free_slots(self) -> int:
        """Searches and builds that could be begun now."""
        return 0 if self._machine.paused else self._slots - len(self._computing)

    @property
    def computing(self) -> int:
        """Searches and builds under way that do not stand still."""
        return 0 if self._machine.paused else len(self._computing)

    @property
    def all_devices(self) -> Sequence[SimulatedDevice]:
        """Every device."""
        return self._devices

    @property
    def ready_devices(self) -> Mapping[str, int]:
        """Devices that measure, or could, by their class."""
        return self._ready

    def idle_devices(self) -> list[SimulatedDevice]:
        """Return the devices that can be given something."""
        machine = self._machine
        if machine.held or machine.measuring:
            return [device for device in self._idle if device.machine is None]
        return list(self._idle)

    # -- work

    def submit(self, work: Work) -> None:
        """Begin a piece of work."""
        self.simulation.note(self._kind(work), work)
        took_s = self.simulation.takes(work)
        due = (self.simulation.clock.now() + took_s, next(self._numbers), work, took_s)
        if not isinstance(work, DeviceWork):
            heapq.heappush(self._computing, due)
            return
        device = _own(work.device)
        assert device in self._idle, f"{device.name} is not idle"
        if device.shares_cores:
            assert device.paused, "measured while searches and builds run"
        device.busy = True
        del self._idle[device]
        if device.machine is not None:
            device.machine.measuring = True
        heapq.heappush(self._measuring, due)

    def close_search(self, session: str) -> None:
        """End a search."""
        self.simulation.note(Happening.CLOSE)
        self.simulation.sessions.discard(session)
        self._excluded.pop(session, None)

    def wait(self, timeout_s: float) -> list[Completion]:
        """Return what ended; where nothing has, put the clock forward to when something does."""
        clock = self.simulation.clock
        # While paused, only what is measured goes on.
        going_on = [self._measuring] if self._machine.paused else [self._measuring, self._computing]
        first = min((queue[0][0] for queue in going_on if queue), default=float("inf"))
        clock.sleep(max(0.0, min(timeout_s, first - clock.now())))
        now = clock.now()
        ended: list[_Due] = []
        for queue in going_on:
            while queue and queue[0][0] <= now:
                ended.append(heapq.heappop(queue))
        return [self._end(work, took_s) for _, _, work, took_s in sorted(ended)]

    def _kind(self, work: Work) -> Happening:
        match work:
            case OpenWork():
                return Happening.OPEN
            case ProposeWork():
                return Happening.PROPOSE
            case LearnWork():
                return Happening.LEARN
            case TrainWork():
                return Happening.TRAIN
            case BuildWork():
                return Happening.BUILD
            case MeasureWork(artifact=_Artifact(candidate)) if candidate in self.simulation.measured:
                return Happening.REMEASURE
            case MeasureWork():
                return Happening.MEASURE
            case CheckWork():
                return Happening.CHECK

    def _end(self, work: Work, took_s: float) -> Completion:
        simulation, kind = self.simulation, self._kind(work)
        simulation.counts[kind] += 1
        number = simulation.counts[kind]
        if isinstance(work, DeviceWork):
            self._free(_own(work.device))
        error = simulation.fails(kind, number)
        if error is not None:
            return WorkFailed(work, error, lost=isinstance(error, EngineLostError))
        match work:
            case OpenWork():
                simulation.sessions.add(work.session)
                self._excluded[work.session] = work.options.exclude
                return SearchOpened(work, simulation.samples if work.history else b"", self._machine.name)
            case ProposeWork() | LearnWork() if work.session not in self._excluded:
                gone = EngineLostError("the node of this search is gone")
                return WorkFailed(work, gone, lost=True, moved=True)
            case ProposeWork():
                candidates = simulation.propose(work, self._excluded[work.session])
                return CandidatesProposed(work, candidates, self._machine.name)
            case LearnWork():
                return ResultsLearned(work, simulation.samples, self._machine.name)
            case TrainWork():
                return ModelTrained(work, simulation.model, self._machine.name)
            case BuildWork():
                return CandidateBuilt(work, simulation.build(work, took_s), _Artifact(work.candidate.hash))
            case MeasureWork():
                return CandidateMeasured(work, self._measured(work, simulation.measure(work, took_s)))
            case CheckWork():
                checked = simulation.check(work, took_s)
                self._measured(work, checked.measurement)
                return DeviceChecked(work, checked)

    def _measured(self, work: DeviceWork, measurement: Measurement) -> Measurement:
        """Note what came of timing something of its device."""
        device = _own(work.device)
        if measurement.state is TrialState.DEVICE_LOST:
            device.blame(measurement.message)
            if device.state is not DeviceState.READY:
                self._idle.pop(device, None)
                self._ready[device.device_class] -= 1
                self.resume(device)
        else:
            device.losses = 0
            # What is no candidate is no trial.
            device.measured += isinstance(work, MeasureWork)
            if isinstance(work, MeasureWork) and isinstance(work.artifact, _Artifact):
                self.simulation.measured.add(work.artifact.candidate)
        return measurement

    def _free(self, device: SimulatedDevice) -> None:
        device.busy = False
        self._idle[device] = None
        if device.machine is not None:
            device.machine.measuring = False

    # -- quiet on cores

    def pause(self, device: Device) -> None:
        """Have searches and builds on a device's cores stand still."""
        machine = _own(device).machine
        if machine is not None and not machine.paused:
            machine.paused = True
            self.simulation.note(Happening.PAUSE)

    def resume(self, device: Device) -> None:
        """Let them go on."""
        machine = _own(device).machine
        if machine is not None and machine.paused and not machine.held:
            machine.paused = False
            self.simulation.note(Happening.RESUME)

    def reserve_cores(self) -> bool:
        """Have nothing run on the machine's cores; say whether that is so by now."""
        self._machine.held = True
        if self._machine.measuring:
            return False
        self._machine.paused = True
        return True

    def release_cores(self) -> None:
        """Let them go on."""
        if self._machine.held:
            self._machine.held = self._machine.paused = False

    @property
    def paused_here(self) -> bool:
        """Searches and builds stand still."""
        return self._machine.paused


def _own(device: Device) -> SimulatedDevice:
    """Return a device of this fleet, that came back through the port, as what it is."""
    assert isinstance(device, SimulatedDevice), f"{device.name} is a device of another fleet"
    return device
