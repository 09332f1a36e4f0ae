"""The commands of this folder, and where they stand in the help."""

from __future__ import annotations

import typer

from orchestrator.cli.campaigns import resume
from orchestrator.cli.campaigns.coordinator import coordinator
from orchestrator.cli.campaigns.look import list_campaigns, show
from orchestrator.cli.campaigns.steer import cancel, pause, priority
from orchestrator.cli.campaigns.submit import submit
from orchestrator.cli.campaigns.trials import trials
from orchestrator.cli.campaigns.tune import tune
from orchestrator.cli.campaigns.watch import watch
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    panel = options.PANELS.TUNE
    command(
        app,
        "tune",
        panel=panel,
        examples=(
            "tune model.onnx --time 30m",
            "tune model.onnx --trials-per-task 32 --input-shape x:1,3,224,224",
            "tune a.onnx b.onnx --trials 2000 --plateau 128 --name both",
        ),
    )(tune)
    command(
        app,
        "submit",
        panel=panel,
        examples=("submit model.onnx --time 2h --name nightly --priority 5", "coordinator --until-idle"),
    )(submit)
    command(
        app,
        "coordinator",
        panel=panel,
        examples=("coordinator", "coordinator --at-once 2 --until-idle --json"),
    )(coordinator)
    _add_looks(app)


def _add_looks(app: typer.Typer) -> None:
    """Add the commands that look at campaigns and steer them."""
    panel = options.PANELS.CAMPAIGNS
    command(app, "list", panel=panel, examples=("list", "list --state tuning --state queued --json"))(
        list_campaigns
    )
    command(app, "show", panel=panel, examples=("show 3", "show nightly --json"))(show)
    command(app, "watch", panel=panel, examples=("watch 3",))(watch)
    command(
        app, "trials", panel=panel, examples=("trials 3 --limit 20", "trials 3 --state build_timeout --json")
    )(trials)
    resume.register(app)
    command(app, "pause", panel=panel, examples=("pause 3",))(pause)
    command(app, "cancel", panel=panel, examples=("cancel 3",))(cancel)
    command(app, "priority", panel=panel, examples=("priority 3 10", "priority nightly -1"), negative=True)(
        priority
    )
