"""``watch``: the progress of a campaign that another process runs."""

from __future__ import annotations

import time

from orchestrator.cli.campaigns.show import campaign_details
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.exits import FAILED
from orchestrator.cli.kit.session import Session
from orchestrator.storage import RESTING_STATES, CampaignRow, CampaignState

__all__ = ["watch"]

_WATCH_SECONDS = 0.5


@command("watch", panel=options.PANELS.CAMPAIGNS, examples=("watch 3",))
def watch(session: Session, campaign: options.Campaign) -> int:
    """Follow a campaign that another process runs, until it rests.

    Ctrl-C ends the watching, not the campaign. Exit code 0 says that the campaign is done, 1 that it was
    paused, cancelled, or failed.
    """
    from orchestrator.cli.campaigns.display import Display

    with session.storage(create=False) as store:
        row = store.campaigns.get(campaign)
        if row.state not in RESTING_STATES:
            with Display(store, row.id, session.err) as display:
                while row.state not in RESTING_STATES:
                    display.activity(_who_runs(session, row))
                    display.changed(row.id)
                    time.sleep(_WATCH_SECONDS)
                    row = store.campaigns.get(row.id)
        campaign_details(session, store, row.id, tasks=False)
        if row.state is CampaignState.FAILED:
            session.error(f"campaign {row.id} failed: {row.message}")
    return 0 if row.state is CampaignState.DONE else FAILED


def _who_runs(session: Session, row: CampaignRow) -> str:
    if row.held:
        return ""
    if row.state is CampaignState.QUEUED:
        return f"waits for a coordinator: {session.command_line('coordinator')}"
    return f"nobody runs it: {session.command_line('resume', str(row.id))}"
