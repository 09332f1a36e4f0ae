"""The commands of this folder, and where they stand in the help."""

from __future__ import annotations

import typer

from orchestrator.cli.answers.compare import compare
from orchestrator.cli.answers.failures import failures
from orchestrator.cli.answers.history import history
from orchestrator.cli.answers.slowest import slowest
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    models, campaigns = options.PANELS.MODELS, options.PANELS.CAMPAIGNS
    command(
        app,
        "history",
        panel=models,
        examples=("history model.onnx", "history --workload 3f0a91 --device znver4 --json"),
    )(history)
    command(
        app, "slowest", panel=models, examples=("slowest model.onnx", "slowest model.onnx --top 3 --json")
    )(slowest)
    command(
        app,
        "failures",
        panel=campaigns,
        examples=("failures", "failures model.onnx", "failures --campaign 3 --json"),
    )(failures)
    command(app, "compare", panel=campaigns, examples=("compare 3 5", "compare nightly-1 nightly-2 --json"))(
        compare
    )
