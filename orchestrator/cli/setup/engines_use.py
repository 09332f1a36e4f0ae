"""``engines use``: an interpreter of one's own for an engine."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.kit.arguments import require_engine
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.setup.environment import EngineName, tell_environment

__all__ = ["use"]

_Own = Annotated[
    str,
    typer.Option("--python", metavar="PATH", help="The interpreter that has your TVM.", show_default=False),
]


@command(
    "use",
    document="engines-use",
    examples=("engines use NAME --python ~/tvm-0.18/venv/bin/python",),
    place=Place.HERE,
)
def use(session: Session, name: EngineName, python: _Own) -> None:
    """Let an interpreter of yours run an engine: your own TVM build, for example.

    It is imported once to see whether it works. `tunefleet engines install` takes it back.
    """
    from workers import environments

    require_engine(name, installed=False)
    with session.steps() as steps:
        steps(f"looking whether {python} can run the {name} engine")
        environments.use(name, python)
    tell_environment(session, name)
