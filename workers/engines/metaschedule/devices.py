"""Devices served by TVM's RPC server; one with a GPU may have to compile what it is sent."""

from __future__ import annotations

from workers.enginekit.cuda import use_compiler
from workers.enginekit.roles import Address
from workers.enginekit.rpc import RpcDevices
from workers.messages import Station

__all__ = ["MetaScheduleDevices"]


class MetaScheduleDevices(RpcDevices):
    """See :class:`workers.enginekit.roles.Devices`."""

    def serve_device(self, host: str, tracker: Address, station: Station) -> None:
        """Run an RPC server for one device until killed."""
        if station.device.kind == "cuda":
            # For libraries that come as source.
            use_compiler()
        super().serve_device(host, tracker, station)
