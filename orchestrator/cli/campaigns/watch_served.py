"""Following a campaign through a service: its events say when to look, and the screen is that of `watch`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orchestrator.cli.campaigns.display import Display
from orchestrator.cli.campaigns.show import served_details
from orchestrator.cli.campaigns.watch import say_rest, who_runs
from orchestrator.cli.kit.session import Session
from orchestrator.documents.drift import drifting_text
from orchestrator.documents.snapshot import Snapshot
from orchestrator.errors import ServerError, TunefleetError
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
    campaign_id = row.id
    if row.state not in RESTING_STATES:

        def read() -> tuple[Snapshot, tuple[CurveRow, ...], str]:
            try:
                found = served_details(server, campaign_id)
            except TunefleetError as error:
                # In the display's thread: it shows what the stream of events is about to raise.
                raise ServerError(str(error)) from None
            display.activity(who_runs(session, found.snapshot.campaign))
            drifting = drifting_text([row for _, row in found.drift.devices])
            return found.snapshot, found.curves, drifting

        display = Display(read, campaign_id, session.err, activity=who_runs(session, row))
        with display:
            while details.snapshot.campaign.state not in RESTING_STATES:
                _follow(server, campaign_id, display)
                # What a service has just read is good for a moment to all who ask.
                time.sleep(_AGAIN_SECONDS)
                details = served_details(server, campaign_id)
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
