"""Lines about all campaigns that a coordinator runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.cli.campaigns.looking import LINE_SECONDS, Looking
from orchestrator.cli.campaigns.screen import View, line_of
from orchestrator.documents.snapshot import read_snapshot
from orchestrator.errors import StorageError

if TYPE_CHECKING:
    from orchestrator.storage import Storage

__all__ = ["Log"]


class Log(Looking):
    """Writes a plain line for each campaign that has news, for a coordinator that runs several.

    Parameters
    ----------
    say : callable
        Takes a line.
    """

    def __init__(
        self, store: Storage, say: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._store, self._say, self._clock = store, say, clock
        self._lock = threading.Lock()
        self._news: set[int] = set()
        self._lines: dict[int, tuple[str, float]] = {}
        self._activity = ""
        self._said = ("", -1e9)
        self.seen: set[int] = set()

    def activity(self, text: str) -> None:
        """Show from now on that this is going on."""
        self._activity = text

    def changed(self, campaign_id: int) -> None:
        """Read the store again soon: it has news of a campaign."""
        with self._lock:
            self._news.add(campaign_id)
            self.seen.add(campaign_id)

    def look(self, *, all_news: bool = False) -> None:
        now = self._clock()
        with self._lock:
            due = {
                i for i in self._news if all_news or now - self._lines.get(i, ("", -1e9))[1] >= LINE_SECONDS
            }
            self._news -= due
        for campaign_id in sorted(due):
            try:
                snapshot = read_snapshot(self._store, campaign_id)
            except StorageError as error:
                self._say(str(error))
                continue
            if self._over.is_set() and not all_news:
                return  # The end reads all of them, and this thread was slow: its line is an older one.
            line = line_of(View(snapshot, snapshot.campaign.active_s))
            if line != self._lines.get(campaign_id, ("", 0.0))[0]:
                self._say(line)
            self._lines[campaign_id] = (line, now)
        text, at = self._said
        if self._activity and self._activity != text and now - at >= LINE_SECONDS:
            self._said = (self._activity, now)
            self._say(self._activity)

    def end(self) -> None:
        with self._lock:
            # The thread may have taken the last news, and not been waited for.
            self._news |= self.seen
        self.look(all_news=True)
