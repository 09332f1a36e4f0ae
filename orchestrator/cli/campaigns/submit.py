"""``submit``: leave a campaign in the database."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.campaigns.tune_options import TuneOptions
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.signature import After
from orchestrator.documents.campaigns import campaign_document

__all__ = ["leave", "submit"]

_Priority = Annotated[
    int,
    typer.Option(
        "--priority",
        min=-1000,
        max=1000,
        metavar="N",
        rich_help_panel=options.WHAT,
        help="Campaigns of a higher one come first; see `tunefleet priority`.",
    ),
    After("name"),
]


@command(
    "submit",
    panel=options.PANELS.TUNE,
    examples=("submit model.onnx --time 2h --name nightly --priority 5", "coordinator --until-idle"),
    place=Place.ANYWHERE,
)
def submit(session: Session, wanted: TuneOptions, priority: _Priority = 0) -> None:
    """Leave a campaign to a coordinator.

    It waits in the database until a `tunefleet coordinator` on the same database takes it. With --server, the
    files go to the service, and it waits there.
    """
    leave(session, wanted, priority)


def leave(session: Session, wanted: TuneOptions, priority: int = 0) -> None:
    """Leave a campaign to a coordinator, and say how to follow it."""
    if (server := session.server()) is not None:
        from orchestrator.cli.campaigns.submit_served import submit_served

        with server:
            row = submit_served(session, server, wanted, priority)
        session.emit({"campaign": campaign_document(row), "database": session.database}, kind="submit")
        session.show(f"campaign {row.id} ({row.name}) waits for a coordinator")
        session.say(f"to follow it: {session.command_line('watch', str(row.id))}", style="dim")
        return
    spec = wanted.spec(session)
    with session.storage() as store:
        from orchestrator.campaigns.running.submit import submit as store_campaign

        row = store_campaign(store, spec, name=wanted.name, priority=priority)
    session.emit({"campaign": campaign_document(row), "database": session.database}, kind="submit")
    session.show(f"campaign {row.id} ({row.name}) waits for a coordinator")
    session.say(f"to run it:    {session.command_line('coordinator', '--until-idle')}", style="dim")
    session.say(f"to follow it: {session.command_line('watch', str(row.id))}", style="dim")
