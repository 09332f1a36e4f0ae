"""``priority``: which campaigns are served first."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.documents.campaigns import campaign_document

__all__ = ["priority"]


@command(
    "priority",
    panel=options.PANELS.CAMPAIGNS,
    examples=("priority 3 10", "priority nightly -1"),
    negative=True,
    place=Place.ANYWHERE,
)
def priority(
    session: Session,
    campaign: options.Campaign,
    value: Annotated[
        int,
        typer.Argument(metavar="N", min=-1000, max=1000, help="The higher, the sooner.", show_default=False),
    ],
) -> None:
    """Give a campaign another priority, also while it runs.

    Of the campaigns that share a coordinator's devices and cores, those of the highest priority are served
    first, and those of one priority evenly.
    """
    if (server := session.server()) is not None:
        from orchestrator.remote.campaigns import campaign_part
        from orchestrator.remote.rows.campaigns import campaign_of

        with server:
            part = campaign_part(server, campaign)
            answer = server.put("priority", "campaigns", part, "priority", body={"priority": value})
            row = campaign_of(answer["campaign"])
    else:
        with session.storage(create=False) as store:
            row = store.campaigns.set_priority(store.campaigns.get(campaign).id, value)
    session.emit({"campaign": campaign_document(row)})
    session.show(f"campaign {row.id} has priority {row.priority}")
