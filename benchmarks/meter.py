"""What a fleet takes of the time, so that the rest is the coordinator's."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from orchestrator.errors import EngineError
from orchestrator.fleet.completions import CandidateMeasured
from orchestrator.fleet.port import Completion, Device, DevicesWanted, Fleet, Work
from orchestrator.fleet.work import (
    BuildWork,
    CheckWork,
    LearnWork,
    MeasureWork,
    OpenWork,
    ProposeWork,
    TrainWork,
)
from workers.messages import DeviceInfo, Measurement

__all__ = ["Meter", "MeteredFleet"]

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
    CheckWork: "check",
}
