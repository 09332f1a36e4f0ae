"""The fleet that is not there: cores and devices that only take time, if that, and fail when told to.

Tests and benchmarks run on it what runs on Ray otherwise, through the same port. It is in one process, it is
deterministic, and it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.fleet.port import DevicesWanted, Fleet, FleetBackend
from orchestrator.fleet.simulated.clock import Clock, ManualClock, WallClock
from orchestrator.fleet.simulated.diary import Diary, Happening
from orchestrator.fleet.simulated.fleet import SimulatedFleet
from orchestrator.fleet.simulated.offers import offer, offered
from orchestrator.fleet.simulated.simulation import Simulation
from workers.messages import DeviceInfo

__all__ = [
    "BACKEND",
    "Clock",
    "Diary",
    "Happening",
    "ManualClock",
    "SimulatedFleet",
    "Simulation",
    "WallClock",
    "offer",
]


class _SimulatedBackend:
    """Takes ``simulated://NAME``, of a simulation that this process has offered under this name."""

    schemes = ("simulated",)

    def make(self, engine: str, wanted: DevicesWanted, address: str | None, slots: int | None) -> Fleet:
        simulation = offered(address or "")
        simulation.engines.append(engine)
        return SimulatedFleet(simulation, wanted, slots=slots)

    def find_devices(
        self,
        engine: str,
        address: str,
        targets: tuple[str, ...],
        say: Callable[[str], None],
        stopped: Callable[[], bool],
    ) -> dict[str, DeviceInfo]:
        known = offered(address).elsewhere
        return {target: known[target] for target in targets if target in known}


BACKEND: FleetBackend = _SimulatedBackend()
