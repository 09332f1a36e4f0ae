"""How a command starts what does the heavy work: engine processes, and whoever runs campaigns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.campaigns.running.listener import Listener
    from orchestrator.campaigns.running.outcome import Outcome
    from orchestrator.fleet.options import FleetOptions
    from orchestrator.remote.address import ServerAddress
    from orchestrator.remote.connection import Connection
    from orchestrator.storage import Storage
    from orchestrator.toolbox import Toolbox

__all__ = ["Coordinate", "Follow", "Launchers"]


class Follow(Protocol):
    """Runs one campaign to its end; see :func:`orchestrator.campaigns.running.coordinator.follow`."""

    def __call__(
        self,
        store: Storage,
        campaign_id: int,
        *,
        fleet: FleetOptions,
        listener: Listener | None,
        began: float | None,
    ) -> Outcome: ...


class Coordinate(Protocol):
    """Runs those that wait; see :func:`orchestrator.campaigns.running.coordinator.coordinate`."""

    def __call__(
        self,
        store: Storage,
        *,
        fleet: FleetOptions,
        listener: Listener | None,
        until_idle: bool,
        at_once: int,
    ) -> None: ...


# Imported when first called: most commands need none of them, and all of them take long to import.


def _toolbox(engine: str) -> Toolbox:
    from orchestrator.toolbox import Toolbox

    return Toolbox(engine)


def _follow(
    store: Storage,
    campaign_id: int,
    *,
    fleet: FleetOptions,
    listener: Listener | None,
    began: float | None,
) -> Outcome:
    from orchestrator.campaigns.running.coordinator import follow

    return follow(store, campaign_id, fleet=fleet, listener=listener, began=began)


def _coordinate(
    store: Storage, *, fleet: FleetOptions, listener: Listener | None, until_idle: bool, at_once: int
) -> None:
    from orchestrator.campaigns.running.coordinator import coordinate

    coordinate(store, fleet=fleet, listener=listener, until_idle=until_idle, at_once=at_once)


def _connect(address: ServerAddress) -> Connection:
    from orchestrator.remote.connection import connect

    return connect(address)


@dataclass(frozen=True)
class Launchers:
    """What a command starts engine processes and campaigns with, and asks a service by.

    The program uses the defaults. Another caller of the program, such as a test, gives its own as the
    ``obj`` of :meth:`typer.Typer.__call__`.

    Attributes
    ----------
    toolbox : callable
        Makes the engine processes of an engine, by its name; they start when they are first asked something.
    follow : Follow
    coordinate : Coordinate
    connect : callable
        Makes a connection to a service.
    alone : bool
        This process was started for one command, so that its start is the command's.
    """

    toolbox: Callable[[str], Toolbox] = _toolbox
    follow: Follow = _follow
    coordinate: Coordinate = _coordinate
    connect: Callable[[ServerAddress], Connection] = _connect
    alone: bool = False
