"""``converters install``: the environment of a converter."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.setup.converter_environment import (
    ConverterName,
    converter_named,
    cost_text,
    tell_converter,
)

__all__ = ["install_converter"]

_Base = Annotated[
    str | None,
    typer.Option(
        "--python",
        metavar="PATH",
        help="Python to make it with; left out, it is looked for on the path and among pyenv's.",
        show_default=False,
    ),
]
_Indexes = Annotated[
    list[str] | None,
    typer.Option(
        "--index",
        metavar="URL",
        help="An index of packages that pip asks beside its own: that of a framework's builds for CPUs. "
        "Repeat it for several.",
        show_default=False,
    ),
]
_Force = Annotated[bool, typer.Option("--force", help="Make it anew, even where it is there.")]


@command(
    "install",
    document="converters-install",
    examples=("converters install torch", "converters install torch --python /opt/python3.12/bin/python3"),
    place=Place.HERE,
)
def install_converter(
    session: Session,
    name: ConverterName,
    python: _Base = None,
    index: _Indexes = None,
    force: _Force = False,
) -> None:
    """Make the environment of a converter, with versions that were run together.

    It lies in your data folder, or the one that TUNEFLEET_CONVERTERS names. Removing its folder there
    uninstalls it.
    """
    from orchestrator.conversion import converter_folder, resident_of
    from workers import environments

    package = converter_named(name)
    converter = package.load()
    session.say(
        f"the environment of the {converter.title} converter takes {cost_text(package)}; it comes to "
        f"{converter_folder() / name}" + (f". {converter.note}" if converter.note else "")
    )
    with session.steps() as steps:
        environments.install(resident_of(package), python, steps, force=force, indexes=index or ())
    tell_converter(session, package)
