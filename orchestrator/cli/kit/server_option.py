"""Which service a command asks instead of a database here: the options that say so, and who may take them."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.remote.address import ServerAddress

__all__ = ["SERVER_VARIABLE", "CaFile", "Place", "Server", "TokenFile", "chosen_server"]

SERVER_VARIABLE = "TUNEFLEET_SERVER"
_TYPED, _VARIABLE = "COMMANDLINE", "ENVIRONMENT"
_COMMON = "Common options"

Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        envvar=SERVER_VARIABLE,
        metavar="URL",
        rich_help_panel=_COMMON,
        show_default=False,
        help="Ask the service there (`tunefleet serve`) instead of a database here; its token is in "
        "TUNEFLEET_TOKEN or a --token-file.",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="TUNEFLEET_TOKEN_FILE",
        metavar="FILE",
        rich_help_panel=_COMMON,
        show_default=False,
        help="What holds the token for the --server.",
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        envvar="TUNEFLEET_CA",
        metavar="FILE",
        rich_help_panel=_COMMON,
        show_default=False,
        help="Certificates, PEM, that the --server's is signed with; left out, those that are trusted here.",
    ),
]


class Place(Enum):
    """Where a command does its work."""

    #: On a database, by itself or through a service.
    ANYWHERE = "anywhere"
    #: On a database, from the machine that reaches it.
    DATABASE = "database"
    #: With files of this machine: there is no database in it.
    HERE = "here"


def chosen_server(
    context: typer.Context, place: Place, server: str | None, token_file: Path | None, ca: Path | None
) -> ServerAddress | None:
    """Return the service that is asked; None where the command works on a database here.

    What is on the command line goes before what a variable says.

    Raises
    ------
    UsageError
        A service and a database are named, or the command is none that a service answers.
    """
    if not server:
        return None
    typed = _source(context, "server") == _TYPED
    database = _source(context, "db")
    if place is Place.HERE and not typed:
        return None
    if database == _TYPED and not typed:
        return None
    name = context.command_path.partition(" ")[2]
    if place is not Place.ANYWHERE:
        out = "leave --server out" if typed else f"unset {SERVER_VARIABLE}, or name the database with --db"
        what = "with files of this machine" if place is Place.HERE else "on a database, where that is reached"
        raise UsageError(f"`tunefleet {name}` works {what}, and not through a service: {out}")
    if typed and database == _TYPED:
        raise UsageError("--db and --server both say where the records are: leave one of them out")
    if not typed and database == _VARIABLE:
        raise UsageError(
            f"TUNEFLEET_DB and {SERVER_VARIABLE} both say where the records are: unset one of them"
        )
    from orchestrator.remote.address import server_address

    return server_address(server, token_file, ca)


def _source(context: typer.Context, name: str) -> str:
    """Say where a value comes from; by name, for typer brings a click of its own."""
    found = context.get_parameter_source(name)
    return "" if found is None else found.name
