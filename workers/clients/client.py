"""How a method of an engine's role becomes a call into its process, types and all.

::

    class BuildClient(Client):
        build = ask(Build.build, seconds=60.0)

    BuildClient(process).build(workload, target, candidate)
    BuildClient(process, timeout_s=5.0).build(workload, target, candidate)

mypy takes the parameters and the result from the interface, which is all that is written of them.
"""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from workers.clients.turns import WAIT_SECONDS, turn
from workers.enginekit.roles import Address
from workers.process.engine_process import EngineProcess

__all__ = ["Ask", "Client", "Start", "ask", "ask_session", "open_session", "serve", "start"]

P = ParamSpec("P")
R = TypeVar("R")

#: Seconds after which a call is killed: always the same, or by what it is asked; None for no limit.
Seconds = float | Callable[P, float] | None

# Of a call that begins when its time is over: enough to answer a question that takes no work.
_LEAST_SECONDS = 5.0


class Client:
    """Calls into one engine process.

    Parameters
    ----------
    process : EngineProcess
    name : str, optional
        The session or the service that the calls are about, where they are about one.
    timeout_s : float, optional
        Seconds after which a call is killed, instead of what each of them has for a limit.

    Attributes
    ----------
    ends_at : float or None
        When calls that begin from now on are killed, on the monotonic clock, where their own limit is later.
    """

    ends_at: float | None = None

    def __init__(self, process: EngineProcess, name: str = "", *, timeout_s: float | None = None) -> None:
        self.process, self.name, self.timeout_s = process, name, timeout_s

    @contextlib.contextmanager
    def no_later_than(self, moment: float) -> Iterator[None]:
        """Have what is called within end by then (on the monotonic clock), or be killed."""
        before = self.ends_at
        self.ends_at = moment if before is None else min(before, moment)
        try:
            yield
        finally:
            self.ends_at = before

    def seconds_left(self, limit_s: float | None) -> float:
        """Return how long a call may take that has a limit of its own."""
        left = math.inf
        if self.ends_at is not None:
            left = max(_LEAST_SECONDS, self.ends_at - time.monotonic())
        return left if limit_s is None else min(limit_s, left)

    def process_of(self, role: str) -> EngineProcess:
        """Return the process that has a role: one has all of them, unless a client is of several."""
        del role
        return self.process


class Way(Enum):
    """What becomes of the fork that a call runs in."""

    CALL = "it ends with the call"
    OPEN = "it keeps what the method returned, as a session"
    USE = "it is a session's, which goes on"
    SERVE = "it runs on, as a service"


@dataclass(frozen=True)
class _Method(Generic[P, R]):
    """A method of an engine's role, and how it is called.

    Attributes
    ----------
    role, name : str
        An engine process knows it by both: ``build.build`` is ``Build.build``.
    """

    role: str
    name: str
    way: Way
    seconds: Seconds[P]

    def begin(self, client: Client, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        limit = client.timeout_s
        if limit is None:
            limit = self.seconds(*args, **kwargs) if callable(self.seconds) else self.seconds
        left = client.seconds_left(limit)
        limit = None if math.isinf(left) else left
        process, name = client.process_of(self.role), client.name
        method = f"{self.role}.{self.name}"
        # The one place where what comes over the socket is given its type.
        future: Future[Any]
        if self.way is Way.CALL:
            future = process.submit(method, *args, timeout_s=limit, **kwargs)
        elif self.way is Way.OPEN:
            future = process.submit_open(name, method, *args, timeout_s=limit, **kwargs)
        elif self.way is Way.USE:
            future = process.submit_use(name, self.name, *args, timeout_s=limit, **kwargs)
        else:
            future = process.submit_spawn(name, method, *args, timeout_s=limit, **kwargs)
        return cast("Future[R]", future)


@dataclass(frozen=True)
class Ask(Generic[P, R]):
    """A method in a client class: calling it waits for what the engine's returns.

    What a call raises is said at :meth:`workers.process.engine_process.EngineProcess.call`.
    """

    method: _Method[P, R]
    alone_on: Callable[P, Sequence[str]] | None = None

    @overload
    def __get__(self, client: None, owner: type[Client]) -> Ask[P, R]: ...

    @overload
    def __get__(self, client: Client, owner: type[Client]) -> Callable[P, R]: ...

    def __get__(self, client: Client | None, owner: type[Client]) -> Ask[P, R] | Callable[P, R]:
        return self if client is None else functools.partial(self._call, client)

    def _call(self, client: Client, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.alone_on is None:
            return self.method.begin(client, *args, **kwargs).result()
        with turn(self.alone_on(*args, **kwargs), client.seconds_left(WAIT_SECONDS)):
            return self.method.begin(client, *args, **kwargs).result()


@dataclass(frozen=True)
class Start(Generic[P, R]):
    """The same for a method that nobody waits for at once: calling it returns a future."""

    method: _Method[P, R]

    @overload
    def __get__(self, client: None, owner: type[Client]) -> Start[P, R]: ...

    @overload
    def __get__(self, client: Client, owner: type[Client]) -> Callable[P, Future[R]]: ...

    def __get__(self, client: Client | None, owner: type[Client]) -> Start[P, R] | Callable[P, Future[R]]:
        return self if client is None else functools.partial(self.method.begin, client)


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
    return Ask(_Method(*_names(method), Way.CALL, seconds), alone_on)


def start(method: Callable[Concatenate[Any, P], R], seconds: Seconds[P]) -> Start[P, R]:
    """Call a method of a role without waiting: several may be under way."""
    return Start(_Method(*_names(method), Way.CALL, seconds))


def open_session(method: Callable[Concatenate[Any, P], object], seconds: Seconds[P]) -> Ask[P, None]:
    """Have what a method returns kept in a process, as the client's session."""
    return Ask(_Method(*_names(method), Way.OPEN, seconds))


def ask_session(method: Callable[Concatenate[Any, P], R], seconds: Seconds[P]) -> Ask[P, R]:
    """Call a method of what the client's session keeps."""
    return Ask(_Method(*_names(method), Way.USE, seconds))


def serve(method: Callable[Concatenate[Any, P], None], seconds: Seconds[P]) -> Ask[P, Address]:
    """Start a service, the client's; the call returns the address that it announces when it is ready."""
    return Ask(_Method(*_names(method), Way.SERVE, seconds))


def _names(method: Callable[..., object]) -> tuple[str, str]:
    """Return the name of a method's role, and its own: ``build`` and ``build`` for ``Build.build``."""
    role, _, name = method.__qualname__.rpartition(".")
    return role.lower(), name
