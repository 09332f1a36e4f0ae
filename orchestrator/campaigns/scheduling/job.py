"""What the scheduler asks of a campaign that is tuned, and what it tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from orchestrator.fleet.port import Completion, Device
from orchestrator.fleet.work import CoreWork, DeviceWork

__all__ = ["TuningJob"]


class TuningJob(Protocol):
    """A campaign that is tuned; see :class:`orchestrator.campaigns.tuning.tuner.Tuning`.

    It never sees the fleet: it is asked for work, which whoever asks gives to the fleet, and it is handed the
    completions of that.
    """

    @property
    def id(self) -> int:
        """The campaign's."""

    @property
    def device_classes(self) -> Sequence[str]:
        """Those it measures on."""

    @property
    def done(self) -> bool:
        """Nothing is left to do."""

    @property
    def flush_in_s(self) -> float | None:
        """Seconds until there is something to store; None where nothing waits."""

    def begin(self, versions: Mapping[str, str]) -> None:
        """Begin, on a fleet of these versions."""

    def fit(self, ready: Mapping[str, int], max_open: int) -> None:
        """Follow a fleet that changes: devices by their class, and how many searches may be open."""

    @property
    def wants_cores(self) -> bool:
        """There is something for a core to do."""

    def measurable_on(self, device: Device) -> int:
        """Count what waits for a device."""

    def next_work(self) -> CoreWork | None:
        """Return the next piece of work for a core, where there is any."""

    def next_measurement(self, device: Device) -> DeviceWork | None:
        """Return what an idle device is to do next, where something waits for it."""

    def take(self, completion: Completion) -> None:
        """Take what came of a piece of work, also after the end."""

    def closed_searches(self) -> Sequence[str]:
        """Take the names of the searches that it is through with, for them to be closed."""

    def tend(self) -> None:
        """Do what it is time for."""

    def stop(self) -> None:
        """Begin nothing more."""

    def end(self) -> None:
        """Store what was measured; it is over here."""
