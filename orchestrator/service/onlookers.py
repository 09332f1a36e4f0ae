"""Threads of the service that look at the store now and then, and tell others what is new."""

from __future__ import annotations

import abc
import threading
from types import TracebackType
from typing import Self

__all__ = ["Onlooker"]


class Onlooker(abc.ABC):
    """A thread that looks again and again, from entering to leaving.

    Parameters
    ----------
    name : str
        Of the thread.
    every_s : float
        Seconds between two looks.
    """

    def __init__(self, name: str, every_s: float) -> None:
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(self._every_s)

    def _run(self) -> None:
        while True:
            self.try_to_look()
            if self._over.wait(self._every_s):
                return

    @abc.abstractmethod
    def try_to_look(self) -> None:
        """Look once. Whatever keeps it from that, the service goes on, and it raises nothing."""
