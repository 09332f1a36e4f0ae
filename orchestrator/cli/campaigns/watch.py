"""``watch``: the progress of a campaign that another process runs."""

from __future__ import annotations

import time

from orchestrator.cli.campaigns.show import campaign_details
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.exits import FAILED
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.documents.details import Details, read_details
from orchestrator.storage import RESTING_STATES, CampaignRow, CampaignState

__all__ = ["say_rest", "watch", "who_runs"]

_WATCH_SECONDS = 0.5


@command("watch", panel=options.PANELS.CAMPAIGNS, examples=("watch 3",), place=Place.ANYWHERE)
def watch(session: Session, campaign: options.Campaign) -> int:
    """Follow a campaign that another process runs, until it rests.

    Ctrl-C ends the watching, not the campaign. Exit code 0 says that the campaign is done, 1 that it was
    paused, cancelled, or failed.
    """
    if (server := session.server()) is not None:
        from orchestrator.cli.campaigns.watch_served import watch_served

        with server:
            return watch_served(session, server, campaign)
    from orchestrator.cli.campaigns.display import Display, read_here

    with session.storage(create=False) as store:
        row = store.campaigns.get(campaign)
        if row.state not in RESTING_STATES:
            with Display(read_here(store, row.id), row.id, session.err) as display:
                while row.state not in RESTING_STATES:
                    display.activity(who_runs(session, row))
                    display.changed(row.id)
                    time.sleep(_WATCH_SECONDS)
                    row = store.campaigns.get(row.id)
        details = read_details(store, row.id)
    return say_rest(session, details)


def say_rest(session: Session, details: Details) -> int:
    """Say how a campaign rests, and return the exit code."""
    row = details.snapshot.campaign
    campaign_details(session, details, tasks=False, kind="watch")
    if row.state is CampaignState.FAILED:
        session.error(f"campaign {row.id} failed: {row.message}")
    return 0 if row.state is CampaignState.DONE else FAILED


def who_runs(session: Session, row: CampaignRow) -> str:
    """Say what to do where nobody runs a campaign; nothing where somebody does."""
    if row.held:
        return ""
    if row.state is CampaignState.QUEUED:
        return f"waits for a coordinator: {session.command_line('coordinator')}"
    return f"nobody runs it: {session.command_line('resume', str(row.id))}"
