"""``engines install``: the environment of an engine that needs its own."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.kit.arguments import require_engine
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.setup.environment import EngineName, tell_environment

__all__ = ["install"]

_Base = Annotated[
    str | None,
    typer.Option(
        "--python",
        metavar="PATH",
        help="Python to make it with; left out, it is looked for on the path and among pyenv's.",
        show_default=False,
    ),
]
_Force = Annotated[bool, typer.Option("--force", help="Make it anew, even where it is there.")]


@command(
    "install",
    document="engines-install",
    examples=("engines install NAME", "engines install NAME --python /opt/python3.10/bin/python3"),
    place=Place.HERE,
)
def install(session: Session, name: EngineName, python: _Base = None, force: _Force = False) -> None:
    """Make the environment of an engine that needs its own, and let that run the engine.

    It takes minutes and more than a gigabyte, in your data folder or the one that TUNEFLEET_ENGINES names.
    """
    from workers import environments

    require_engine(name, installed=False)
    with session.steps() as steps:
        environments.install(name, python, steps, force=force)
    tell_environment(session, name)
