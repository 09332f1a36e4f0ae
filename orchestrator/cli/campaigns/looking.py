"""A thread that looks at the store now and then while a campaign runs, and shows what it finds."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

__all__ = ["LINE_SECONDS", "Looking"]

#: Seconds between two plain lines, at least.
LINE_SECONDS = 10.0
# The clock on the screen moves once a second.
_LOOK_SECONDS = 0.5


class Looking:
    """A thread that looks in every half second, from entering to leaving."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tunefleet-display", daemon=True)

    def __enter__(self) -> Self:
        self.begin()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        # A database that hangs must not keep the command from ending.
        self._thread.join(2.0)
        self.end()

    def _run(self) -> None:
        while True:
            self.look()
            if self._over.wait(_LOOK_SECONDS):
                return

    def begin(self) -> None:
        """Prepare to show something; before the thread starts."""

    def look(self) -> None:
        """Read what is new, and show it; in the thread."""
        raise NotImplementedError

    def end(self) -> None:
        """Show what is left to show; after the thread has ended."""
