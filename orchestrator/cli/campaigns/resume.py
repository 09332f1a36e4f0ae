"""``resume``: go on with a campaign that rests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.campaigns.follow import follow_campaign
from orchestrator.cli.campaigns.where_options import WhereOptions
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.documents.campaigns import campaign_document
from orchestrator.errors import UsageError
from orchestrator.storage import CampaignRequest, CampaignRow, CampaignState

if TYPE_CHECKING:
    from orchestrator.storage import Storage

__all__ = ["resume"]

# A live coordinator looks for requests every two seconds.
_ANSWER_SECONDS = 5.0
_ASK_AGAIN_SECONDS = 0.25


@command(
    "resume",
    panel=options.PANELS.CAMPAIGNS,
    examples=("resume 3", "resume nightly --detach"),
    place=Place.ANYWHERE,
)
def resume(
    session: Session,
    campaign: options.Campaign,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Leave it to a running coordinator.", rich_help_panel=options.WHERE),
    ] = False,
    *,
    where: WhereOptions,
) -> int:
    """Go on with a campaign that was paused, interrupted, or failed.

    It runs here, unless a live coordinator holds it: then that one is asked. Trials that are stored are not
    measured again. With --json, a campaign that was left to a coordinator gives the document of `submit`.
    Through a service it is always left to a coordinator.
    """
    if (server := session.server()) is not None:
        from orchestrator.remote.campaigns import campaign_part
        from orchestrator.remote.rows.campaigns import campaign_of

        where.refuse_served(session)
        with server:
            part = campaign_part(server, campaign)
            row = campaign_of(server.post("resume", "campaigns", part, "resume")["campaign"])
        _say_left(session, row)
        return 0
    with session.storage(create=False) as store:
        row = store.campaigns.get(campaign)
        if row.state in (CampaignState.DONE, CampaignState.CANCELLED):
            raise UsageError(
                f"campaign {row.id} is {row.state.value}: nothing to resume; "
                "`tunefleet tune` with the same models goes on from its trials"
            )
        if detach or _answers(store, row):
            row = store.campaigns.request(row.id, CampaignRequest.RESUME)
        else:
            keys = tuple(row.spec.get("boards") or ())
            with where.fleet(session, keys=keys, engine=row.engine) as fleet:
                return follow_campaign(session, store, row, fleet)
        _say_left(session, row)
    return 0


def _say_left(session: Session, row: CampaignRow) -> None:
    """Say that a campaign was left to a coordinator."""
    session.emit({"campaign": campaign_document(row), "database": session.database}, kind="submit")
    if row.held:
        session.show(f"campaign {row.id} is run by {row.lease_owner}, which was asked to go on with it")
    else:
        session.show(f"campaign {row.id} waits for a coordinator")
    session.say(f"to follow it: {session.command_line('watch', str(row.id))}", style="dim")


def _answers(store: Storage, row: CampaignRow) -> bool:
    """Say whether somebody who is alive runs a campaign.

    A coordinator that was killed could not give its lease back, so it is asked: a live one takes the request.
    """
    if not row.held:
        return False
    until = time.monotonic() + _ANSWER_SECONDS
    row = store.campaigns.request(row.id, CampaignRequest.RESUME)
    while row.held and row.request is not None and time.monotonic() < until:
        time.sleep(_ASK_AGAIN_SECONDS)
        row = store.campaigns.get(row.id)
    return row.held and row.request is None
