"""``converters use``: an interpreter of one's own for a converter."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.setup.converter_environment import ConverterName, converter_named, tell_converter

__all__ = ["use_converter"]

_Own = Annotated[
    str,
    typer.Option(
        "--python", metavar="PATH", help="The interpreter that has your framework.", show_default=False
    ),
]


@command(
    "use",
    document="converters-use",
    examples=("converters use torch --python ~/project/.venv/bin/python",),
    place=Place.HERE,
)
def use_converter(session: Session, name: ConverterName, python: _Own) -> None:
    """Let an interpreter of yours run a converter: the one in which your project's code runs.

    What the converter imports is imported once to see whether it is there. `tunefleet converters install`
    takes it back.
    """
    from orchestrator.conversion import resident_of
    from workers import environments

    package = converter_named(name)
    resident = resident_of(package)
    with session.steps() as steps:
        steps(f"looking whether {python} can run {resident.title}")
        environments.use(resident, python)
    tell_converter(session, package)
