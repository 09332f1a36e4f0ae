"""A node of a cluster and its devices, as they stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from orchestrator.errors import TunefleetError
from orchestrator.fleet.device import QUARANTINE_AFTER, Device, DeviceState
from workers.messages import Station

__all__ = ["Node", "RayDevice", "RemoteActor", "Role", "device_of", "own_device"]

#: An actor as Ray makes it: its methods are those of its class, remote, and Ray has no types for them.
RemoteActor: TypeAlias = Any
#: Which of a node's actors that compute.
Role = Literal["search", "build"]


@dataclass(eq=False)
class RayDevice:
    """A device of this fleet; see :class:`orchestrator.fleet.port.Device`.

    Attributes
    ----------
    losses : int
        Measurements in a row that it was lost over.
    node : Node or None
        Which has it; None for a board.
    actor
        Which measures on it, where it is a node's.
    """

    name: str
    host: str
    station: Station
    shares_cores: bool
    state: DeviceState = DeviceState.READY
    busy: bool = False
    losses: int = 0
    measured: int = 0
    last_error: str = ""
    node: Node | None = None
    actor: RemoteActor | None = None

    @property
    def device_class(self) -> str:
        """Under which its times are filed."""
        return self.station.device.device_class

    @property
    def place(self) -> str:
        """Its node, where it is that node's CPU; any other device has its place for itself."""
        return self.name if self.node is None or self.station.device.kind != "cpu" else self.node.id

    @property
    def idle(self) -> bool:
        """It can be given something."""
        if self.state is not DeviceState.READY or self.busy:
            return False
        node = self.node
        return node is None or self.place != node.id or not (node.held or node.measuring_on_cores)

    @property
    def paused(self) -> bool:
        """What shares its cores stands still."""
        return self.node is not None and self.node.paused

    def blame(self, message: str) -> bool:
        """Count a measurement that it was lost over; say whether that makes it one too many."""
        self.losses += 1
        self.last_error = message
        if self.losses >= QUARANTINE_AFTER and self.state is DeviceState.READY:
            self.state = DeviceState.QUARANTINED
            return True
        return False


@dataclass(eq=False)
class Node:
    """A node that takes part, or is about to.

    Attributes
    ----------
    measure, search, build
        Its actors; the latter two where it computes.
    accelerators
        A second measure actor, where GPUs came to be wanted later.
    keep : tuple of int
        Cores that search and build keep to; none where they use all.
    gpus, measure_gpus : float
        GPUs that it has, and those that `measure` was given.
    held : bool
        Something on this machine besides the fleet has the cores for itself.
    asked : int
        How many of the fleet's device classes it was asked for.
    silent : set of Role
        Those that did not answer: Ray starts them again, or the node is going.
    """

    id: str
    host: str
    slots: int
    measure: RemoteActor
    role: str = ""
    search: RemoteActor = None
    build: RemoteActor = None
    keep: tuple[int, ...] = ()
    cores: tuple[int, ...] = ()
    gpus: float = 0
    measure_gpus: float = 0
    accelerators: RemoteActor | None = None
    busy: int = 0
    paused: bool = False
    held: bool = False
    asked: int = 0
    silent: set[Role] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)
    devices: list[RayDevice] = field(default_factory=list)
    problem: TunefleetError | None = None

    @property
    def computes(self) -> bool:
        """It can be given searches and builds."""
        return self.slots > 0 and not self.paused and not self.silent

    @property
    def actors(self) -> list[RemoteActor]:
        """All that were made on it."""
        return [a for a in (self.measure, self.accelerators, self.search, self.build) if a is not None]

    @property
    def measuring_on_cores(self) -> bool:
        """A candidate is measured on its cores now."""
        return any(device.busy and device.place == self.id for device in self.devices)


def device_of(station: Station, node: Node, actor: RemoteActor) -> RayDevice:
    """Make a device of a node that its measure actor has taken charge of."""
    measured = set(node.cores[: station.device.cores]) if station.device.kind == "cpu" else set()
    shares = node.slots > 0 and not measured.isdisjoint(node.keep or node.cores)
    return RayDevice(f"{station.key} on {node.host}", node.host, station, shares, node=node, actor=actor)


def own_device(device: Device) -> RayDevice:
    """Return a device of this fleet, that came back through the port, as what it is."""
    assert isinstance(device, RayDevice), f"{device.name} is a device of another fleet"
    return device
