"""A machine's devices and its tracker, served from an engine process."""

from __future__ import annotations

from workers.clients import limits
from workers.clients.client import Client, ask, serve
from workers.enginekit.roles import Devices

__all__ = ["DevicesClient", "Service"]


class DevicesClient(Client):
    """See :class:`workers.enginekit.roles.Devices`."""

    tracked = ask(Devices.tracked, limits.ASK)
    count_devices = ask(Devices.count_devices, limits.ASK)


class Service(Client):
    """A tracker or a device's server, by its name in the engine process; starting one returns its address."""

    serve_tracker = serve(Devices.serve_tracker, limits.SERVICE)
    serve_device = serve(Devices.serve_device, limits.SERVICE)

    def end(self) -> None:
        """Kill it; one that is gone already is no error."""
        self.process.end(self.name)
