"""``tune``: a campaign that is run here, and followed to its end."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.campaigns.follow import follow_campaign
from orchestrator.cli.campaigns.plan import show_plan
from orchestrator.cli.campaigns.tune_options import TuneOptions
from orchestrator.cli.campaigns.where_options import WhereOptions
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.session import Session

__all__ = ["tune"]


@command(
    "tune",
    panel=options.PANELS.TUNE,
    examples=(
        "tune model.onnx --time 30m",
        "tune model.onnx --trials-per-task 32 --input-shape x:1,3,224,224",
        "tune a.onnx b.onnx --trials 2000 --plateau 128 --name both",
    ),
)
def tune(
    session: Session,
    wanted: TuneOptions,
    where: WhereOptions,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be measured.", rich_help_panel=options.WHAT)
    ] = False,
) -> int:
    """Tune models on this machine, and follow it to the end.

    Every trial is stored as soon as it is measured, and stored trials count toward the budget: Ctrl-C, a
    crash or a second run lose and repeat nothing. At the end the tuned models are timed beside the untuned
    ones and onnxruntime, and their outputs compared.
    """
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
