"""``coordinator``: run the campaigns that were left in the database."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from orchestrator.cli.campaigns.where_options import WhereOptions
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.exits import INTERRUPTED
from orchestrator.cli.kit.session import Session
from orchestrator.documents.campaigns import listed_document
from orchestrator.documents.snapshot import read_snapshot

__all__ = ["coordinator"]


@command(
    "coordinator",
    panel=options.PANELS.TUNE,
    examples=("coordinator", "coordinator --at-once 2 --until-idle --json"),
)
def coordinator(
    session: Session,
    until_idle: Annotated[
        bool,
        typer.Option(
            "--until-idle", help="End when no campaign waits any more.", rich_help_panel=options.WHERE
        ),
    ] = False,
    at_once: Annotated[
        int,
        typer.Option(
            "--at-once",
            min=1,
            metavar="N",
            rich_help_panel=options.WHERE,
            help="Campaigns run side by side, at most.",
        ),
    ] = 4,
    *,
    where: WhereOptions,
) -> int:
    """Run the campaigns that were submitted until stopped, several side by side.

    They share its devices and cores: those of the highest priority come first, and those of one priority
    share evenly. Several coordinators may run, on one database or many machines: each campaign is held by
    one at a time. With --json, the document is written at the end.
    """
    from orchestrator.cli.campaigns.log import Log

    # Between campaigns nobody else minds it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with session.storage() as store, where.fleet(session) as fleet:
        interrupted = False
        with Log(store, session.say) as log:
            try:
                session.launchers.coordinate(
                    store, fleet=fleet, listener=log, until_idle=until_idle, at_once=at_once
                )
            except KeyboardInterrupt:
                interrupted = True
        rows = [listed_document(read_snapshot(store, campaign_id)) for campaign_id in sorted(log.seen)]
        session.emit({"campaigns": rows, "database": session.database, "interrupted": interrupted})
    return INTERRUPTED if interrupted else 0
