"""How a method of an engine's role becomes a call into its process, types and all.

::

    class BuildClient(Client):
        build = ask(Build.build, seconds=60.0)

    BuildClient(process).build(workload, target, candidate)               # waits
    BuildClient(process).build.within(5.0)(workload, target, candidate)   # with another limit
    BuildClient(process).build.start(workload, target, candidate)         # a future

mypy takes the parameters and the result from the interface, which is all that is written of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from workers.clients.turns import turn
from workers.enginekit.roles import Address
from workers.process.engine_process import EngineProcess

__all__ = ["Ask", "Client", "Start", "ask", "ask_session", "open_session", "serve", "start"]

P = ParamSpec("P")
R = TypeVar("R")

#: Seconds after which a call is killed: always the same, or by what it is asked; None for no limit.
Seconds = float | Callable[P, float] | None


class Client:
    """Calls into one engine process.

    Parameters
    ----------
    process : EngineProcess
    name : str, optional
        The session or the service that the calls are about, where they are about one.
    """

    def __init__(self, process: EngineProcess, name: str = "") -> None:
        self.process, self.name = process, name


class Way(Enum):
    """What becomes of the fork that a call runs in."""

    CALL = "it ends with the call"
    OPEN = "it keeps what the method returned, as a session"
    USE = "it is a session's, which goes on"
    SERVE = "it runs on, as a service"


@dataclass(frozen=True)
class _Bound(Generic[P, R]):
    """A method of an engine, as a client calls it."""

    client: Client
    method: str
    way: Way
    seconds: Seconds[P]
    alone_on: Callable[P, Sequence[str]] | None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it, and wait for what it returns.

        Raises
        ------
        EngineTimeoutError, EngineLostError, TunefleetError
            See :meth:`workers.process.engine_process.EngineProcess.call`.
        """
        if self.alone_on is None:
            return self.start(*args, **kwargs).result()
        with turn(self.alone_on(*args, **kwargs)):
            return self.start(*args, **kwargs).result()

    def start(self, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call it without waiting."""
        seconds = self.seconds
        limit = seconds(*args, **kwargs) if callable(seconds) else seconds
        process, name = self.client.process, self.client.name
        # The one place where what goes over the socket is given back its type.
        future: Future[Any]
        if self.way is Way.CALL:
            future = process.submit(self.method, *args, timeout_s=limit, **kwargs)
        elif self.way is Way.OPEN:
            future = process.submit_open(name, self.method, *args, timeout_s=limit, **kwargs)
        elif self.way is Way.USE:
            future = process.submit_use(name, self.method, *args, timeout_s=limit, **kwargs)
        else:
            future = process.submit_spawn(name, self.method, *args, timeout_s=limit, **kwargs)
        return cast("Future[R]", future)

    def within(self, seconds: float) -> _Bound[P, R]:
        """Return the same with another limit."""
        return replace(self, seconds=seconds)


@dataclass(frozen=True)
class Ask(Generic[P, R]):
    """A method of an engine in a client class; see the top of this file."""

    method: str
    way: Way
    seconds: Seconds[P]
    alone_on: Callable[P, Sequence[str]] | None = None

    @overload
    def __get__(self, client: None, owner: type[Client]) -> Ask[P, R]: ...

    @overload
    def __get__(self, client: Client, owner: type[Client]) -> _Bound[P, R]: ...

    def __get__(self, client: Client | None, owner: type[Client]) -> Ask[P, R] | _Bound[P, R]:
        if client is None:
            return self
        return _Bound(client, self.method, self.way, self.seconds, self.alone_on)


@dataclass(frozen=True)
class Start(Generic[P, R]):
    """The same for a method that nobody waits for at once: calling it returns a future."""

    method: str
    seconds: Seconds[P]

    @overload
    def __get__(self, client: None, owner: type[Client]) -> Start[P, R]: ...

    @overload
    def __get__(self, client: Client, owner: type[Client]) -> Callable[P, Future[R]]: ...

    def __get__(self, client: Client | None, owner: type[Client]) -> Start[P, R] | Callable[P, Future[R]]:
        if client is None:
            return self
        bound: _Bound[P, R] = _Bound(client, self.method, Way.CALL, self.seconds, None)
        return bound.start


def ask(
    method: Callable[Concatenate[Any, P], R],
    seconds: Seconds[P],
    alone_on: Callable[P, Sequence[str]] | None = None,
) -> Ask[P, R]:
    """Call a method of a role, each time in a fresh fork.

    Parameters
    ----------
    method : callable
        As the role's interface has it, such as ``Build.build``.
    seconds : float, callable or None
        See :data:`Seconds`.
    alone_on : callable, optional
        Says which parts of this machine the call must have to itself, see :func:`workers.clients.turns.turn`.
    """
    return Ask(_wire_name(method), Way.CALL, seconds, alone_on)


def start(method: Callable[Concatenate[Any, P], R], seconds: Seconds[P]) -> Start[P, R]:
    """Call a method of a role without waiting: several may be under way."""
    return Start(_wire_name(method), seconds)


def open_session(method: Callable[Concatenate[Any, P], object], seconds: Seconds[P]) -> Ask[P, None]:
    """Have what a method returns kept in a process, as the client's session."""
    return Ask(_wire_name(method), Way.OPEN, seconds)


def ask_session(method: Callable[Concatenate[Any, P], R], seconds: Seconds[P]) -> Ask[P, R]:
    """Call a method of what the client's session keeps."""
    return Ask(method.__name__, Way.USE, seconds)


def serve(method: Callable[Concatenate[Any, P], None], seconds: Seconds[P]) -> Ask[P, Address]:
    """Start a service, the client's; the call returns the address that it announces when it is ready."""
    return Ask(_wire_name(method), Way.SERVE, seconds)


def _wire_name(method: Callable[..., object]) -> str:
    """Return what an engine process knows a role's method by: ``build.build`` for ``Build.build``."""
    role, _, name = method.__qualname__.rpartition(".")
    return f"{role.lower()}.{name}"
