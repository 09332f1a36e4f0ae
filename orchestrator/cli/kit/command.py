"""Commands: what each of them is, the options that all of them have, and their help."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli.kit.arguments import require_text
from orchestrator.cli.kit.exits import exit_code_of
from orchestrator.cli.kit.launchers import Launchers
from orchestrator.cli.kit.server_option import CaFile, Place, Server, TokenFile, chosen_server
from orchestrator.cli.kit.session import DB_VARIABLE, Session
from orchestrator.cli.kit.signature import FlatSignature

__all__ = ["Command", "CommandGroup", "command"]

_COMMON = "Common options"
_Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        envvar=DB_VARIABLE,
        metavar="URL",
        rich_help_panel=_COMMON,
        help="Database: a SQLite file's path, sqlite:///PATH or postgresql://USER@HOST/NAME. "
        "Left out, a file in your data folder.",
    ),
]
_Json = Annotated[
    bool,
    typer.Option(
        "--json", rich_help_panel=_COMMON, help="Write one JSON document to stdout and nothing else."
    ),
]
_Debug = Annotated[
    bool, typer.Option("--debug", rich_help_panel=_COMMON, help="Show the traceback of an error.")
]
_CONTEXT = "context"
_COMMON_PARAMETERS = tuple(
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
    for name, kind, default in (
        (_CONTEXT, typer.Context, inspect.Parameter.empty),
        ("db", _Db, None),
        ("server", Server, None),
        ("token_file", TokenFile, None),
        ("ca", CaFile, None),
        ("as_json", _Json, False),
        ("debug", _Debug, False),
    )
)
Function = Callable[..., int | None]


@dataclass(frozen=True)
class Command:
    """A command of the program.

    Attributes
    ----------
    function : callable
        Takes a :class:`Session` and its own arguments, and returns its exit code, None for 0. Its docstring
        is the command's help.
    panel : str or None
        The group it is listed in.
    examples : tuple of str
        Command lines for its help, without the program's name.
    document : str
        Name of its JSON document.
    negative : bool
        An argument of it may be a negative number, which would be read as an option.
    place : Place
        Whether a service answers it, too.
    """

    function: Function
    name: str
    panel: str | None
    examples: tuple[str, ...]
    document: str
    negative: bool
    place: Place

    def add_to(self, app: typer.Typer) -> None:
        """Make it a command of a program, or of a group of commands."""
        settings = {"ignore_unknown_options": True} if self.negative else None
        app.command(self.name, help=self._help(), rich_help_panel=self.panel, context_settings=settings)(
            self._for_typer()
        )

    def lead(self, group: typer.Typer) -> None:
        """Make it what a group does where none of its commands is named."""
        group.callback(invoke_without_command=True, help=self._help())(self._for_typer())

    def _for_typer(self) -> Callable[..., None]:
        """Return a function with the signature that typer reads: session out, common options in."""
        signature = FlatSignature.of(self.function)

        def run(
            *,
            context: typer.Context,
            db: str | None,
            server: str | None,
            token_file: Path | None,
            ca: Path | None,
            as_json: bool,
            debug: bool,
            **values: Any,
        ) -> None:
            if context.invoked_subcommand is not None:
                return
            launchers = context.find_object(Launchers) or Launchers()
            session = Session(self.document, launchers, db=db, as_json=as_json, debug=debug)

            def work() -> int | None:
                require_text({"db": db, "server": server, **values})
                session.address = chosen_server(context, self.place, server, token_file, ca)
                return self.function(session, **signature.arguments(values))

            raise typer.Exit(exit_code_of(session, work))

        parameters = [*signature.parameters, *_COMMON_PARAMETERS]
        run.__name__ = self.function.__name__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    def _help(self) -> str:
        described = inspect.getdoc(self.function) or ""
        paragraphs = [" ".join(part.split()) for part in described.split("\n\n")]
        lines = "\n".join(f"  tunefleet {example}" for example in self.examples)
        title = "Example:" if len(self.examples) == 1 else "Examples:"
        return "\n\n".join([*paragraphs, f"{title}\n{lines}"])


@dataclass(frozen=True)
class CommandGroup:
    """Commands under one word, as ``records import`` and ``records export``.

    Attributes
    ----------
    help : str
        What is said of it; a leading command says it itself.
    leading : Command, optional
        What it does where none of its commands is named; without one it shows its help.
    """

    name: str
    commands: tuple[Command, ...]
    panel: str
    help: str | None = None
    leading: Command | None = None

    def add_to(self, app: typer.Typer) -> None:
        """Make it a group of a program's commands."""
        group = typer.Typer(rich_markup_mode="rich", no_args_is_help=self.leading is None, help=self.help)
        if self.leading is not None:
            self.leading.lead(group)
        for one in self.commands:
            one.add_to(group)
        app.add_typer(group, name=self.name, rich_help_panel=self.panel)


def command(
    name: str,
    *,
    panel: str | None = None,
    examples: tuple[str, ...],
    document: str = "",
    negative: bool = False,
    place: Place = Place.DATABASE,
) -> Callable[[Function], Command]:
    """Make a function a command; see :class:`Command`.

    Parameters
    ----------
    document : str, optional
        Name of its JSON document where that isn't its own.
    """

    def of(function: Function) -> Command:
        return Command(function, name, panel, examples, document or name, negative, place)

    return of
