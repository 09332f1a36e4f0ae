"""What was just read: fifty dashboards of one campaign are one read a second, not fifty."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

__all__ = ["Recent"]

T = TypeVar("T")
_ENTRIES = 256


class _Entry:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.until = float("-inf")
        self.value: Any = None


class Recent:
    """Values that are good for a moment; who asks meanwhile waits for the one who reads.

    Parameters
    ----------
    seconds : float
        How long a value is good. One that took long to read is good for ten times as long as that took, so
        that reading has a tenth of the time at most.
    clock : callable, optional
        Seconds of any steady clock.
    """

    def __init__(self, seconds: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._entries: dict[Hashable, _Entry] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], T], *, seconds: float | None = None) -> T:
        """Return what is known under a key, or read it."""
        with self._lock:
            entry = self._entries.pop(key, None) or _Entry()
            self._entries[key] = entry
            while len(self._entries) > _ENTRIES:
                self._entries.pop(next(iter(self._entries)))
        with entry.lock:
            began = self._clock()
            if began >= entry.until:
                entry.value = read()
                now = self._clock()
                entry.until = now + max(self._seconds if seconds is None else seconds, 10 * (now - began))
            value: T = entry.value
            return value

    def forget(self, key: Hashable) -> None:
        """Have the next one read anew: something was changed."""
        with self._lock:
            self._entries.pop(key, None)

    def forget_all(self, first: str) -> None:
        """Have all read anew whose key is a tuple that begins so."""
        with self._lock:
            for key in [key for key in self._entries if isinstance(key, tuple) and key[0] == first]:
                del self._entries[key]
