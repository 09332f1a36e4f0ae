"""Following a campaign through a service: its events say when to look, and the screen is that of `watch`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orchestrator.cli.campaigns.display import Display
from orchestrator.cli.campaigns.show import served_details
from orchestrator.cli.campaigns.watch import say_rest, who_runs
from orchestrator.cli.kit.session import Session
from orchestrator.documents.snapshot import Snapshot
from orchestrator.errors import ServerError
from orchestrator.storage import RESTING_STATES, CurveRow

if TYPE_CHECKING:
    from orchestrator.remote.connection import Connection

__all__ = ["watch_served"]

# A service that is started anew, or a proxy that ends what is open for long, is no reason to stop watching.
_AWAY_SECONDS = 120.0
_AGAIN_SECONDS = 2.0


def watch_served(session: Session, server: Connection, campaign: int | str) -> int:
    """Follow a campaign until it rests; return the exit code of `watch`.

    Raises
    ------
    NotFoundError
    ServerError
        The service was away for two minutes.
    """
    details = served_details(server, campaign)
    row = details.snapshot.campaign
    if row.state not in RESTING_STATES:

        def read() -> tuple[Snapshot, tuple[CurveRow, ...]]:
            found = served_details(server, row.id)
            display.activity(who_runs(session, found.snapshot.campaign))
            return found.snapshot, found.curves

        display = Display(read, row.id, session.err, activity=who_runs(session, row))
        with display:
            _follow(server, row.id, display)
        details = served_details(server, row.id)
    return say_rest(session, details)


def _follow(server: Connection, campaign_id: int, display: Display) -> None:
    """Have the display look whenever there is news, until the stream of events ends because nothing comes."""
    away_since: float | None = None
    while True:
        try:
            for event in server.events("campaigns", campaign_id, "events"):
                away_since = None
                if event.name == "end":
                    return
                display.changed(campaign_id)
        except ServerError as error:
            now = time.monotonic()
            away_since = away_since or now
            if now - away_since > _AWAY_SECONDS:
                raise
            display.activity(f"{error}; trying again")
        # It ends without a word where the service does.
        time.sleep(_AGAIN_SECONDS)
