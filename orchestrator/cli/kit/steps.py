"""One line that says what a command is doing."""

from __future__ import annotations

import re
import threading

from rich.console import Console
from rich.text import Text

__all__ = ["Steps"]

_NUMBER = re.compile(r"\d[\d,.]*")


class Steps:
    """One line on a terminal that says what is going on, rewritten in place; plain lines elsewhere.

    Where lines stay, what only counts on from the line before isn't said.

    It starts no thread and draws nothing by itself: models are timed meanwhile.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = ""
        self._lock = threading.Lock()

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def __call__(self, text: str) -> None:
        """Say what is going on now."""
        with self._lock:
            said, self._last = self._last, text
            if self._console.is_terminal:
                if text != said:
                    self._rewrite(text[: max(1, self._console.width - 1)])
            elif _NUMBER.sub("#", text) != _NUMBER.sub("#", said):
                self._console.print(Text(text), soft_wrap=True)

    def briefly(self, text: str) -> None:
        """Say one of many like it: where lines stay they would bury everything else."""
        if self._console.is_terminal:
            self(text)

    def clear(self) -> None:
        """Take the line off the terminal."""
        with self._lock:
            if self._last and self._console.is_terminal:
                self._rewrite("")
            self._last = ""

    def _rewrite(self, text: str) -> None:
        self._console.file.write(f"\r\x1b[2K{text}")
        self._console.file.flush()
