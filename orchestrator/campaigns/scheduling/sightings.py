"""How the devices of a fleet stand, stored now and then for whoever asks meanwhile."""

from __future__ import annotations

import contextlib
import time

from orchestrator.errors import StorageError
from orchestrator.fleet.port import Device, DeviceState, Fleet
from orchestrator.storage import Sighting, Storage

__all__ = ["DeviceReports"]

_TELL_SECONDS = 5.0


class DeviceReports:
    """What a store is told of the devices of a fleet."""

    def __init__(self, store: Storage, fleet: Fleet) -> None:
        self._store, self._fleet = store, fleet
        self._began = self._told_at = time.monotonic()

    def tell(self, *, final: bool = False) -> None:
        """Store how the devices stand, where the last time is long ago or this one is the last."""
        now = time.monotonic()
        if now < self._told_at + _TELL_SECONDS and not final:
            return
        elapsed, self._told_at = now - self._began, now
        found = [self._sighting(device, elapsed, final) for device in self._fleet.all_devices]
        # It is told for people: a store that fails now is told the next time.
        with contextlib.suppress(StorageError):
            self._store.devices.see(found)

    def _sighting(self, device: Device, elapsed: float, final: bool) -> Sighting:
        state = device.state.value
        if device.state is DeviceState.READY:
            state = "seen" if final else "busy" if device.busy else "free"
        return Sighting(
            device.station.key,
            device.host,
            device.station.device,
            state,
            device.last_error,
            device.measured / elapsed * 3600 if elapsed > 0 else None,
        )
