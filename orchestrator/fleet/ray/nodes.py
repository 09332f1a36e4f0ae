"""The nodes of a cluster and their devices, as they stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import TunefleetError
from workers.messages import Station

__all__ = ["Device", "Node", "Pending", "Ping", "Tracked", "device_of"]


@dataclass(eq=False)
class Device:
    """A device of the fleet, as it stands.

    Attributes
    ----------
    name : str
        Unique within the fleet.
    host : str
        Where its server runs; the key of a board, whose host is known to the tracker alone.
    shares_cores : bool
        Its cores are searched and built on as well, so that they have to take turns.
    state : {'ready', 'quarantined', 'lost'}
    last_error : str
        Why it was lost last.
    """

    name: str
    host: str
    station: Station
    shares_cores: bool
    state: str = "ready"
    busy: bool = False
    losses: int = 0
    measured: int = 0
    last_error: str = ""
    _node: Node | None = None
    _actor: Any = None  # that measures on it, where it is a node's

    @property
    def device_class(self) -> str:
        """Under which its times are filed."""
        return self.station.device.device_class

    @property
    def place(self) -> str:
        """What it shares its cores with measures there too, one at a time: a node's CPU, or itself alone."""
        return self.name if self._node is None or self.station.device.kind != "cpu" else self._node.id

    @property
    def idle(self) -> bool:
        """It can be given something."""
        if self.state != "ready" or self.busy:
            return False
        node = self._node
        return node is None or self.place != node.id or not (node.held or node.measuring_on_cores)

    @property
    def paused(self) -> bool:
        """What shares its cores stands still."""
        return self._node is not None and self._node.paused


@dataclass(eq=False)
class Node:
    id: str
    host: str
    slots: int
    measure: Any
    role: str = ""
    search: Any = None
    build: Any = None
    # Cores that search and build keep to; none where they use all.
    keep: tuple[int, ...] = ()
    cores: tuple[int, ...] = ()
    gpus: float = 0  # that it has, and those that `measure` was given
    measure_gpus: float = 0
    accelerators: Any = None  # a second measure actor, where GPUs came to be wanted later
    busy: int = 0
    paused: bool = False
    held: bool = False  # something on this machine besides the fleet has the cores for itself
    asked: int = 0  # how many of the fleet's device classes it was asked for
    # Which of search and build did not answer: Ray starts them again, or the node is going.
    silent: set[str] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)
    devices: list[Device] = field(default_factory=list)
    problem: TunefleetError | None = None

    @property
    def computes(self) -> bool:
        """It can be given searches and builds."""
        return self.slots > 0 and not self.paused and not self.silent

    @property
    def actors(self) -> list[Any]:
        return [a for a in (self.measure, self.accelerators, self.search, self.build) if a is not None]

    @property
    def measuring_on_cores(self) -> bool:
        """A candidate is measured on its cores now."""
        return any(device.busy and device.place == self.id for device in self.devices)


@dataclass
class Pending:
    tag: Any
    node: Node
    device: Device | None = None
    extra: Any = None  # a second result, handed on without being fetched


class Tracked:
    """The tag of a look at the tracker."""


@dataclass(frozen=True)
class Ping:
    """The tag of a question whether an actor answers again: a device's, or a node's search or build."""

    node: Node
    what: Device | str


def device_of(station: Station, node: Node, actor: Any) -> Device:
    """Make a device of a node that its measure actor has taken charge of."""
    measured = set(node.cores[: station.device.cores]) if station.device.kind == "cpu" else set()
    shares = node.slots > 0 and not measured.isdisjoint(node.keep or node.cores)
    return Device(f"{station.key} on {node.host}", node.host, station, shares, _node=node, _actor=actor)
