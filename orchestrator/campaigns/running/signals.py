"""The signals that stop campaigns: Ctrl-C and SIGTERM."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["StopSignals"]


class StopSignals:
    """Whether this process is to stop.

    Parameters
    ----------
    heard : callable
        Called at the first signal. At a second, nothing is waited for any more.

    Attributes
    ----------
    interrupted : bool
        There was a signal.
    """

    def __init__(self, heard: Callable[[], None]) -> None:
        self._heard = heard
        self.interrupted = False

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Have the signals come here; outside of the main thread, where Python has none, they don't."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {n: signal.signal(n, self._interrupt) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt  # a second Ctrl-C does not wait
        self.interrupted = True
        self._heard()
