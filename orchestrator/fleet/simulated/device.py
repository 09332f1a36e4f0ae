"""Devices that are not there."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.fleet.device import QUARANTINE_AFTER, DeviceState
from orchestrator.fleet.simulated.machine import Machine
from workers.messages import Station

__all__ = ["SimulatedDevice"]


@dataclass(eq=False)
class SimulatedDevice:
    """A device of a simulated fleet; see :class:`orchestrator.fleet.port.Device`.

    Attributes
    ----------
    machine : Machine or None
        Whose cores it is; None for one that has its own.
    """

    name: str
    host: str
    station: Station
    shares_cores: bool = False
    machine: Machine | None = None
    state: DeviceState = DeviceState.READY
    busy: bool = False
    measured: int = 0
    losses: int = 0
    last_error: str = ""

    @property
    def device_class(self) -> str:
        """Under which its times are filed."""
        return self.station.device.device_class

    @property
    def place(self) -> str:
        """Its machine, or itself."""
        return self.name if self.machine is None else self.machine.name

    @property
    def paused(self) -> bool:
        """Searches and builds on its cores stand still."""
        return self.machine is not None and self.machine.paused

    def blame(self, message: str) -> None:
        """Count a measurement that it was lost over."""
        self.losses += 1
        self.last_error = message
        if self.losses >= QUARANTINE_AFTER:
            self.state = DeviceState.QUARANTINED
