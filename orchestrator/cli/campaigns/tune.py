"""``tune``: a campaign that is run here, and followed to its end."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.campaigns.follow import follow_campaign
from orchestrator.cli.campaigns.plan import show_plan
from orchestrator.cli.campaigns.submit import leave
from orchestrator.cli.campaigns.tune_options import TuneOptions
from orchestrator.cli.campaigns.where_options import WhereOptions
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.errors import UsageError

__all__ = ["tune"]


@command(
    "tune",
    panel=options.PANELS.TUNE,
    examples=(
        "tune model.onnx --time 30m",
        "tune model.onnx --trials-per-task 32 --input-shape x:1,3,224,224",
        "tune a.onnx b.onnx --trials 2000 --plateau 128 --name both",
    ),
    place=Place.ANYWHERE,
)
def tune(
    session: Session,
    wanted: TuneOptions,
    where: WhereOptions,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be measured.", rich_help_panel=options.WHAT)
    ] = False,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach",
            help="Leave it to a running coordinator, as `submit` does.",
            rich_help_panel=options.WHERE,
        ),
    ] = False,
) -> int:
    """Tune models on this machine, and follow it to the end.

    Every trial is stored as soon as it is measured, and stored trials count toward the budget: Ctrl-C, a
    crash or a second run lose and repeat nothing. At the end the tuned models are timed beside the untuned
    ones and onnxruntime, and their outputs compared.

    With --server, the files go to the service, whose coordinator does all of that; Ctrl-C then ends the
    watching alone.
    """
    if session.address is not None:
        where.refuse_served(session)
        session.refuse_served(dry_run=dry_run)
    if detach:
        if dry_run:
            raise UsageError(
                "--dry-run says what would be measured, and --detach has it done: give one of them"
            )
        leave(session, wanted)
        return 0
    if (server := session.server()) is not None:
        from orchestrator.cli.campaigns.submit_served import submit_served
        from orchestrator.cli.campaigns.watch_served import watch_served

        with server:
            row = submit_served(session, server, wanted)
            session.say(f"campaign {row.id}; Ctrl-C ends the watching, and the campaign goes on", style="dim")
            return watch_served(session, server, row.id)
    spec = wanted.spec(session)
    if dry_run:
        return show_plan(session, spec)
    with (
        session.storage() as store,
        where.fleet(session, keys=tuple(spec.boards), engine=wanted.engine) as fleet,
    ):
        from orchestrator.campaigns.running.submit import submit as store_campaign

        row = store_campaign(store, spec, name=wanted.name, hold=True)
        return follow_campaign(session, store, row, fleet)
