"""``pause``: stop a campaign so that it can go on later."""

from __future__ import annotations

from orchestrator.cli.campaigns.asking import ask_for
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.storage import CampaignRequest

__all__ = ["pause"]


@command("pause", panel=options.PANELS.CAMPAIGNS, examples=("pause 3",), place=Place.ANYWHERE)
def pause(session: Session, campaign: options.Campaign) -> None:
    """Pause a campaign; `tunefleet resume` goes on with it.

    Where another process runs it, that one is asked and stops within seconds. Everything measured stays.
    """
    ask_for(session, campaign, CampaignRequest.PAUSE)
