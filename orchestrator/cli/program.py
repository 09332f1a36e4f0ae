"""The program: all commands, and what happens outside of them."""

from __future__ import annotations

import gc
import importlib.metadata
import re
import shlex
import sys
from typing import Annotated

import typer

from orchestrator.cli.answers import group as answers
from orchestrator.cli.campaigns import group as campaigns
from orchestrator.cli.kit.exits import INTERRUPTED
from orchestrator.cli.kit.launchers import Launchers
from orchestrator.cli.kit.streams import prepare_streams
from orchestrator.cli.models import group as models
from orchestrator.cli.records import group as records
from orchestrator.cli.service import group as service
from orchestrator.cli.setup import group as setup

__all__ = ["app", "main"]

app = typer.Typer(
    name="tunefleet",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tunefleet {importlib.metadata.version('tunefleet')}")
        raise typer.Exit


_HELP = (
    "Tune ONNX models with Apache TVM: every trial is kept, nothing is measured twice.\n\n"
    "Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage or input, "
    "3 not found, 130 interrupted.\n\n"
    "Examples:\n"
    "  tunefleet tune model.onnx --time 30m\n"
    "  tunefleet build model.onnx -o model.so\n"
    "  tunefleet COMMAND --help"
)


@app.callback(help=_HELP)
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Write the version and end.")
    ] = False,
) -> None:
    """Read the options that stand before any command."""


for _group in (campaigns, models, answers, records, service, setup):
    for _command in _group.COMMANDS:
        _command.add_to(app)


def _hide_passwords() -> None:
    """Take passwords out of the command line that ``ps`` shows to everyone on this machine."""
    if not any("://" in word and ("@" in word or "password" in word) for word in sys.argv):
        return
    import setproctitle

    from orchestrator.storage import safe_url

    # sys.argv keeps its words: they are what the command works with.
    setproctitle.setproctitle(
        shlex.join(re.sub(r"\w[\w+]*://.*", lambda found: safe_url(found[0]), word) for word in sys.argv)
    )


def main() -> None:
    """Run the program with this process's arguments."""
    prepare_streams()
    # Imports make many objects that stay: looking through them for garbage is a fifth of a query's time.
    gc.set_threshold(50_000, 20, 20)
    _hide_passwords()
    try:
        app(obj=Launchers(alone=True))
    except KeyboardInterrupt:
        # Between the commands' own handling and the end.
        sys.exit(INTERRUPTED)
