"""Failed logins: how many of them an address has before it is to wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

__all__ = ["Attempts"]

_WINDOW_SECONDS = 60.0
_MOST = 10
# Addresses that are remembered: who has more than this could have the service's memory.
_ADDRESSES = 10_000


class Attempts:
    """Failed logins of the last minute, by address.

    A token that is right is let in all the same: behind a proxy many people share an address, and nobody
    guesses 256 bits.

    Parameters
    ----------
    clock : callable, optional
        Seconds of any steady clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def failed(self, address: str) -> float:
        """Note a failed login; return for how many seconds the address is to wait, 0 where it isn't."""
        now = self._clock()
        with self._lock:
            times = self._failed.pop(address, None) or deque(maxlen=_MOST + 1)
            self._failed[address] = times  # the last one of the dictionary: the oldest go first
            while len(self._failed) > _ADDRESSES:
                self._failed.pop(next(iter(self._failed)))
            while times and times[0] <= now - _WINDOW_SECONDS:
                times.popleft()
            if len(times) >= _MOST:
                return times[0] + _WINDOW_SECONDS - now
            times.append(now)
            return 0.0
