"""``coordinator``: run the campaigns that were left in the database."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from orchestrator.cli.campaigns.tracker import chosen_tracker
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import INTERRUPTED
from orchestrator.cli.kit.session import Session

__all__ = ["coordinator"]


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
    ray_address: options.RayAddress = None,
    slots: options.Slots = None,
    tracker: options.Tracker = None,
    serve_tracker: options.ServeTracker = None,
) -> int:
    """Run the campaigns that were submitted until stopped, several side by side.

    They share its devices and cores: those of the highest priority come first, and those of one priority
    share evenly. Several coordinators may run, on one database or many machines: each campaign is held by
    one at a time. With --json, the document is written at the end.
    """
    from orchestrator.campaigns.running.coordinator import coordinate
    from orchestrator.cli.campaigns.display import Log
    from orchestrator.cli.campaigns.documents import listed_document
    from orchestrator.cli.campaigns.snapshot import read_snapshot
    from orchestrator.fleet.options import FleetOptions

    # Between campaigns nobody else minds it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    served = chosen_tracker(session, tracker, serve_tracker, ray_address)
    with session.storage() as store, served as tracker:
        interrupted = False
        with Log(store, session.say) as log:
            try:
                coordinate(
                    store,
                    fleet=FleetOptions(ray_address, slots, tracker),
                    listener=log,
                    until_idle=until_idle,
                    at_once=at_once,
                )
            except KeyboardInterrupt:
                interrupted = True
        rows = [listed_document(read_snapshot(store, campaign_id)) for campaign_id in sorted(log.seen)]
        session.emit({"campaigns": rows, "database": session.database, "interrupted": interrupted})
    return INTERRUPTED if interrupted else 0
