"""The commands of this folder, and where they stand in the help."""

from __future__ import annotations

import typer

from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.records.export import export
from orchestrator.cli.records.import_ import import_
from orchestrator.cli.records.merge import merge
from orchestrator.cli.records.prune import prune
from orchestrator.cli.records.stats import stats

__all__ = ["add_commands", "register"]


def register(app: typer.Typer) -> None:
    """Add the group and its commands."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode="rich",
        help="Exchange, merge, prune and count the records of a store.",
    )
    command(
        group,
        "import",
        document="records-import",
        examples=(
            "records import records.jsonl",
            "records import tuning.log --engine NAME",
            "records import work_dir --engine metaschedule --model model.onnx",
            "records import tuning.log --engine NAME --skip-bad --dry-run",
        ),
    )(import_)
    command(
        group,
        "export",
        document="records-export",
        examples=(
            "records export -o records.jsonl.gz",
            "records export model.onnx -o model.log --engine NAME --best",
            "records export model.onnx -o database --engine metaschedule",
            "records export --workload 3f0a91 -o conv.log --engine NAME",
        ),
    )(export)
    add_commands(group)
    app.add_typer(group, name="records", rich_help_panel=options.PANELS.MODELS)


def add_commands(group: typer.Typer) -> None:
    """Add the commands to the group of those about records."""
    command(
        group,
        "merge",
        document="records-merge",
        examples=(
            "records merge other.db",
            "records merge postgresql://me@records/tunefleet --db mine.db --dry-run",
        ),
    )(merge)
    command(
        group,
        "prune",
        document="records-prune",
        examples=("records prune --keep 64 --dry-run", "records prune --failed --older-than 90d"),
    )(prune)
    command(group, "stats", document="records-stats", examples=("records stats", "records stats --json"))(
        stats
    )
