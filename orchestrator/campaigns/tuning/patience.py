"""A store that fails is asked again for a while: what is under way is worth some waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from orchestrator.errors import LeaseLostError, StorageError

__all__ = ["STORE_PATIENCE_SECONDS", "STORE_PAUSE_SECONDS", "Patience"]

#: Seconds for which results that can't be stored are kept, and storing them tried again.
STORE_PATIENCE_SECONDS = 60.0
#: Seconds between two tries.
STORE_PAUSE_SECONDS = 1.0
_Value = TypeVar("_Value")


class Patience:
    """Asks the store for things.

    Parameters
    ----------
    stopped : callable
        Says whether nothing is worth waiting for any more.
    """

    def __init__(self, say: Callable[[str], None], stopped: Callable[[], bool]) -> None:
        self._say, self._stopped = say, stopped

    def ask(self, question: Callable[[], _Value]) -> _Value:
        """Return the store's answer.

        Raises
        ------
        StorageError
            Where it fails for :data:`STORE_PATIENCE_SECONDS`.
        LeaseLostError
            At once.
        """
        until = time.monotonic() + STORE_PATIENCE_SECONDS
        while True:
            try:
                return question()
            except StorageError as error:
                if isinstance(error, LeaseLostError) or time.monotonic() > until or self._stopped():
                    raise
                self._say(f"waiting for the database: {error}")
                time.sleep(STORE_PAUSE_SECONDS)
