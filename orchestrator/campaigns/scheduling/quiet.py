"""Who has the cores of this machine for itself, and who stands still meanwhile.

Campaigns that time something here, to compare it, want the cores alone: the fleet's searches, builds and
measurements on them stand still then, and so do the engine processes with which other campaigns plan or
compile. These stand still as well while the fleet measures on the cores.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.errors import EngineTimeoutError
from orchestrator.fleet.port import Fleet

__all__ = ["QUIET_SECONDS", "Pausable", "QuietCores"]

#: Seconds to wait for the cores of this machine: others' comparisons have them too, for minutes.
QUIET_SECONDS = 1800.0
_STEP_SECONDS = 0.2


class Pausable(Protocol):
    """Processes of a campaign on this machine; see :class:`orchestrator.toolbox.Toolbox`."""

    def pause(self) -> None:
        """Have them stand still."""

    def resume(self) -> None:
        """Let them go on."""


@dataclass(eq=False)
class _Reservation:
    """A campaign's wish to have the cores of this machine for itself."""

    tools: Pausable
    granted: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)


class QuietCores:
    """The cores of this machine.

    Parameters
    ----------
    wake : callable
        Has the coordinator's first thread look at once.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._reservations: deque[_Reservation] = deque()
        self._tools: set[Pausable] = set()
        self._paused: set[Pausable] = set()

    # -- for a campaign, in its own thread

    @contextlib.contextmanager
    def beside(self, tools: Pausable) -> Iterator[None]:
        """Have the engine processes of a campaign stand still where they would disturb what is measured."""
        self._tools.add(tools)
        try:
            yield
        finally:
            self._tools.discard(tools)
            self._paused.discard(tools)

    @contextlib.contextmanager
    def alone(self, tools: Pausable, go_on: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Have the cores of this machine for a campaign's own engine processes, to time something on them.

        Parameters
        ----------
        go_on : callable, optional
            Raises where it is not worth waiting any more.

        Raises
        ------
        EngineTimeoutError
            Others would not leave them for :data:`QUIET_SECONDS`.
        """
        reservation = _Reservation(tools)
        self._reservations.append(reservation)
        self._wake()
        until = time.monotonic() + QUIET_SECONDS
        try:
            while not reservation.granted.wait(_STEP_SECONDS):
                go_on()
                if time.monotonic() > until:
                    raise EngineTimeoutError(
                        f"the cores of this machine were not free for {QUIET_SECONDS:.0f} s: other campaigns "
                        "of this coordinator measure or compare on them"
                    )
            yield
        finally:
            reservation.released.set()
            self._wake()

    # -- for the first thread

    @property
    def reserved(self) -> bool:
        """A campaign has the cores for itself."""
        return self._holder is not None

    def grant(self, fleet: Fleet | None) -> None:
        """Give the cores to who asked for them first, and back to all when that is over."""
        if not self._reservations:
            return
        first = self._reservations[0]
        if first.released.is_set():
            self._reservations.popleft()
            if fleet is not None:
                # The fleet has a step's time between two.
                fleet.release_cores()
        elif not first.granted.is_set() and (fleet is None or fleet.reserve_cores()):
            self._pause_all_but(first.tools)
            first.granted.set()

    def grant_all(self) -> None:
        """Let go who waits, for all is about to end."""
        for reservation in list(self._reservations):
            reservation.granted.set()

    def pause_local(self, fleet: Fleet | None) -> None:
        """Have the engine processes of campaigns that plan or compile stand still, or go on.

        Told again and again, for one that was not there the last time hears nothing of it.
        """
        holder = self._holder
        if holder is not None:
            self._pause_all_but(holder.tools)
        elif fleet is not None and fleet.paused_here:
            self._pause_all_but(None)
        else:
            for tools in list(self._tools):
                self._resume(tools)

    @property
    def _holder(self) -> _Reservation | None:
        first = self._reservations[0] if self._reservations else None
        return first if first is not None and first.granted.is_set() else None

    def _pause_all_but(self, holder: Pausable | None) -> None:
        for tools in list(self._tools):
            if tools is holder:
                self._resume(tools)
            else:
                self._paused.add(tools)
                tools.pause()

    def _resume(self, tools: Pausable) -> None:
        if tools in self._paused:
            self._paused.discard(tools)
            tools.resume()
