"""What was just read: fifty dashboards of one campaign are one read a second, not fifty."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from orchestrator.errors import StorageError

__all__ = ["Recent"]

T = TypeVar("T")
_ENTRIES = 256


class _Entry:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.until = float("-inf")
        self.value: Any = None

    @property
    def known(self) -> bool:
        """It has been read."""
        return self.until > float("-inf")


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

    def get(
        self, key: Hashable, read: Callable[[], T], *, seconds: float | None = None, old: bool = False
    ) -> T:
        """Return what is known under a key, or read it.

        With `old`, what is known is returned at once however old it is, and read anew behind that.
        """
        with self._lock:
            entry = self._entries.pop(key, None) or _Entry()
            self._entries[key] = entry
            while len(self._entries) > _ENTRIES:
                self._entries.pop(next(iter(self._entries)))
        if old and entry.known:
            if self._clock() >= entry.until and entry.lock.acquire(blocking=False):
                threading.Thread(
                    target=self._read_behind,
                    args=(entry, read, seconds),
                    name="tunefleet-recent",
                    daemon=True,
                ).start()
            known: T = entry.value
            return known
        with entry.lock:
            if self._clock() >= entry.until:
                self._read(entry, read, seconds)
            value: T = entry.value
            return value

    def _read(self, entry: _Entry, read: Callable[[], object], seconds: float | None) -> None:
        began = self._clock()
        entry.value = read()
        now = self._clock()
        entry.until = now + max(self._seconds if seconds is None else seconds, 10 * (now - began))

    def _read_behind(self, entry: _Entry, read: Callable[[], object], seconds: float | None) -> None:
        try:
            # A database that is away keeps what was known; who asks next tries again.
            with contextlib.suppress(StorageError):
                self._read(entry, read, seconds)
        finally:
            entry.lock.release()

    def forget(self, key: Hashable) -> None:
        """Have the next one read anew: something was changed."""
        with self._lock:
            self._entries.pop(key, None)

    def forget_all(self, first: str) -> None:
        """Have all read anew whose key is a tuple that begins so."""
        with self._lock:
            for key in [key for key in self._entries if isinstance(key, tuple) and key[0] == first]:
                del self._entries[key]
