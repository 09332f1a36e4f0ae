"""``cancel``: end a campaign for good."""

from __future__ import annotations

from orchestrator.cli.campaigns.asking import ask_for
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.storage import CampaignRequest

__all__ = ["cancel"]


@command("cancel", panel=options.PANELS.CAMPAIGNS, examples=("cancel 3",), place=Place.ANYWHERE)
def cancel(session: Session, campaign: options.Campaign) -> None:
    """End a campaign for good. Its trials stay, and count for every other campaign."""
    ask_for(session, campaign, CampaignRequest.CANCEL)
