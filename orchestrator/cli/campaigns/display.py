"""One campaign that is followed, on a screen or in lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from orchestrator.cli.campaigns.looking import LINE_SECONDS, Looking
from orchestrator.cli.campaigns.pace import Pace
from orchestrator.cli.campaigns.screen import View, line_of
from orchestrator.documents.drift import drifting_text
from orchestrator.documents.snapshot import Snapshot, read_snapshot
from orchestrator.errors import StorageError

if TYPE_CHECKING:
    from orchestrator.storage import CurveRow, Storage

__all__ = ["Display", "Read", "read_here"]

#: Seconds between two lines that say the same.
SAME_LINE_SECONDS = 60.0
# The store is asked as often as the clock on the screen moves, if there is news and it is cheap.
_READ_SECONDS = 1.0
# Reading may take this part of a core at most: measurements run on the same ones.
_READ_SHARE = 0.05
_STALE_SECONDS = 5.0
# A task counts as busy this long after its last trial (seconds).
_BUSY_SECONDS = 15.0


#: Reads a campaign as it stands, its curves, and which of its devices drift.
Read = Callable[[], tuple[Snapshot, tuple["CurveRow", ...], str]]


def read_here(store: Storage, campaign_id: int) -> Read:
    """Return what reads a campaign of a database here."""

    def read() -> tuple[Snapshot, tuple[CurveRow, ...], str]:
        drifting = drifting_text(store.device_checks.latest(campaign_id))
        return read_snapshot(store, campaign_id), tuple(store.answers.curves(campaign_id)), drifting

    return read


class Display(Looking):
    """Shows one campaign: a screen that is redrawn on a terminal, plain lines elsewhere.

    It is a listener of the coordinator: what it is told costs next to nothing, and may come from any thread.

    Parameters
    ----------
    read : callable
        Reads it, now and then; a StorageError that it raises is shown, and it is asked again.
    console : rich.console.Console
        Where to draw.
    activity : str, optional
        What is going on before anybody says so.
    clock : callable, optional
        Seconds, steady.
    """

    def __init__(
        self,
        read: Read,
        campaign_id: int,
        console: Console,
        *,
        activity: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._reads, self._id, self._console, self._clock = read, campaign_id, console, clock
        self._activity = activity
        self._news = True
        self._snapshot: Snapshot | None = None
        self._curves: tuple[CurveRow, ...] = ()
        self._drift = ""
        self._began: tuple[float, float] | None = None
        self._read_at = -1e9
        self._read_cost = 0.0
        self._line_at = -1e9
        self._told: tuple[Snapshot, str] | None = None
        self._pace = Pace()
        self._busy: dict[int, tuple[int, float]] = {}
        self._live: Live | None = None

    # -- the coordinator's listener

    def activity(self, text: str) -> None:
        """Show from now on that this is going on."""
        self._activity = text

    def changed(self, campaign_id: int) -> None:
        """Read the store again soon: it has news of a campaign."""
        if campaign_id == self._id:
            self._news = True

    # -- drawing

    def begin(self) -> None:
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            # It leaves no trace: what is worth keeping is printed when the campaign rests.
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    def end(self) -> None:
        if self._live is not None:
            self._live.stop()

    def look(self) -> None:
        view = self.view()
        if view is None:
            return
        if self._live is not None:
            self._live.update(view, refresh=True)
        else:
            self._write(view)

    def _write(self, view: View) -> None:
        now = self._clock()
        # That time went by is no news.
        told = (view.snapshot, view.activity)
        wait = LINE_SECONDS if told != self._told else SAME_LINE_SECONDS
        if now - self._line_at >= wait:
            self._line_at, self._told = now, told
            self._console.print(Text(line_of(view)), soft_wrap=True)

    def view(self) -> View | None:
        """Return what there is to draw now; None before anything could be read."""
        now = self._clock()
        due = max(_READ_SECONDS if self._news else _STALE_SECONDS, self._read_cost / _READ_SHARE)
        if now - self._read_at >= due:
            self._read(now)
        if self._snapshot is None:
            return None
        busy = frozenset(i for i, (_, at) in self._busy.items() if now - at < _BUSY_SECONDS)
        return View(
            self._snapshot,
            self._elapsed(now),
            self._pace.per_hour,
            busy,
            self._activity,
            self._curves,
            self._drift,
        )

    def _read(self, now: float) -> None:
        self._news = False
        try:
            snapshot, self._curves, self._drift = self._reads()
        except StorageError as error:
            # The coordinator will stumble over it too, and is the one to say what becomes of the campaign.
            self._activity = str(error)
            self._read_at = now
            return
        self._read_at = self._clock()
        self._read_cost = self._read_at - now
        first = self._snapshot is None
        self._snapshot = snapshot
        if self._began is None and snapshot.campaign.held:
            self._began = (now, snapshot.campaign.active_s)
        self._pace.add(now, snapshot.measured)
        for task in snapshot.tasks:
            known = self._busy.get(task.id)
            if known is None or known[0] != task.measured:
                self._busy[task.id] = (task.measured, -1e9 if first or not task.measured else now)

    def _elapsed(self, now: float) -> float:
        assert self._snapshot is not None
        campaign = self._snapshot.campaign
        if self._began is None or not campaign.held:
            return campaign.active_s
        # The stored time may be written at the end only.
        began, before = self._began
        return max(campaign.active_s, before + now - began)
