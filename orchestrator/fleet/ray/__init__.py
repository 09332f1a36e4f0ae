"""The fleet on a Ray cluster. Only this folder imports Ray, and that when a fleet is made or asked for."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.fleet.port import DevicesWanted, Fleet, FleetBackend
from workers.messages import DeviceInfo

__all__ = ["BACKEND"]


class _RayBackend:
    """Takes ``ray://...``, ``HOST:PORT``, ``auto``, and no address at all: a Ray on this machine."""

    schemes = ("", "ray")

    def make(self, engine: str, wanted: DevicesWanted, address: str | None, slots: int | None) -> Fleet:
        # Imported here: what only reads the store never waits for Ray's import.
        from orchestrator.fleet.ray.fleet import RayFleet

        return RayFleet(engine, wanted, address=address, slots=slots)

    def find_devices(
        self,
        engine: str,
        address: str,
        targets: tuple[str, ...],
        say: Callable[[str], None],
        stopped: Callable[[], bool],
    ) -> dict[str, DeviceInfo]:
        from orchestrator.fleet.ray.find import find_devices

        return find_devices(engine, address, targets, say, stopped)


BACKEND: FleetBackend = _RayBackend()
