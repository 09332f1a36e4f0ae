"""The devices of a machine as they are offered to who measures."""

from __future__ import annotations

from typing import Protocol

from workers.messages import Station

__all__ = ["Address", "Devices"]

#: Host and port.
Address = tuple[str, int]


class Devices(Protocol):
    """Serves a machine's devices, and the tracker that says which of them is free.

    :class:`workers.enginekit.rpc.RpcDevices` does it with TVM's own; an engine without a TVM has its own.
    The two that serve run until they are killed, and announce with :func:`workers.process.host.ready` the
    address that they listen at.
    """

    def serve_tracker(self, host: str, port: int | None = None) -> None:
        """Run a tracker until killed, at `port` or a free one."""

    def serve_device(self, host: str, tracker: Address, station: Station) -> None:
        """Run a server for one device until killed, registered at the tracker under the station's key.

        It has its own cores, or sees its own GPU alone, whatever else this machine has.
        """

    def tracked(self, host: str, port: int) -> dict[str, int]:
        """Return how many servers are registered at a tracker under each key, the busy ones too.

        Raises
        ------
        EngineError
            Where it does not answer.
        """

    def count_devices(self, kind: str) -> int:
        """Return how many devices of a kind, as in :class:`DeviceInfo`, answer on this machine."""
