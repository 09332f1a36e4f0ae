"""Commands: the options all of them have, their help, and the one place where errors become exit codes."""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections.abc import Callable
from typing import Annotated, Any

import typer

from orchestrator.cli.kit.session import DB_VARIABLE, Session, abandon_stdout
from orchestrator.errors import TunefleetError

__all__ = ["FAILED", "INTERRUPTED", "command"]

FAILED = 1
INTERRUPTED = 130
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
_COMMON_OPTIONS: dict[str, tuple[Any, Any]] = {
    "db": (_Db, None),
    "as_json": (_Json, False),
    "debug": (_Debug, False),
}
Function = Callable[..., int | None]


def command(
    app: typer.Typer,
    name: str,
    *,
    panel: str | None = None,
    examples: tuple[str, ...],
    document: str = "",
    of_group: bool = False,
    negative: bool = False,
) -> Callable[[Function], Function]:
    """Make a function a command.

    The function takes a :class:`Session` and its own arguments, and returns its exit code, None for 0. Its
    docstring is the command's help.

    Parameters
    ----------
    panel : str, optional
        The group it is listed in.
    examples : tuple of str
        Command lines for its help, without the program's name.
    document : str, optional
        Name of its JSON document where that isn't its own.
    of_group : bool
        It is what the group `app` does where none of its commands is named.
    negative : bool
        An argument of it may be a negative number, which would be read as an option.
    """

    def register(function: Function) -> Function:
        own = list(inspect.signature(function).parameters.values())[1:]
        hints = typing.get_type_hints(function, include_extras=True)
        common = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for key, (kind, default) in _COMMON_OPTIONS.items()
        ]

        @functools.wraps(function)
        def run(**values: Any) -> None:
            context = values.pop("context", None)
            if context is not None and context.invoked_subcommand is not None:
                return
            chosen = {key: values.pop(key) for key in _COMMON_OPTIONS}
            raise typer.Exit(_guarded(Session(document or name, **chosen), function, values))

        # typer reads a signature: the function's own, with the session out and the common options in.
        parameters = [p.replace(kind=p.KEYWORD_ONLY, annotation=hints[p.name]) for p in own]
        if of_group:
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(inspect.Parameter("context", kind, annotation=typer.Context))
        run.__signature__ = inspect.Signature([*parameters, *common])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in [*parameters, *common]}
        del run.__wrapped__
        text = _help(function, examples)
        if of_group:
            app.callback(invoke_without_command=True, help=text)(run)
        else:
            settings = {"ignore_unknown_options": True} if negative else None
            app.command(name, help=text, rich_help_panel=panel, context_settings=settings)(run)
        return function

    return register


def _guarded(session: Session, function: Function, values: dict[str, Any]) -> int:
    """Run a command; whatever happens, say so in a line, and return the exit code."""
    try:
        code = function(session, **values) or 0
        sys.stdout.flush()
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except BrokenPipeError:
        # `| head` has seen enough; that is no failure.
        abandon_stdout()
        return 0
    except KeyboardInterrupt:
        session.fail("Interrupted", "interrupted", INTERRUPTED)
        return INTERRUPTED
    except TunefleetError as error:
        session.fail(type(error).__name__, str(error), error.exit_code)
        return error.exit_code
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        session.fail(type(error).__name__, f"{where}{error.strerror or error}", FAILED)
        return FAILED
    except Exception as error:
        words = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
        hint = "" if session.debug else "; run again with --debug, and report what that prints"
        session.fail(type(error).__name__, f"this is a bug in tunefleet: {words}{hint}", FAILED)
        return FAILED
    return code


def _help(function: Function, examples: tuple[str, ...]) -> str:
    paragraphs = [" ".join(part.split()) for part in (inspect.getdoc(function) or "").split("\n\n")]
    lines = "\n".join(f"  tunefleet {example}" for example in examples)
    title = "Example:" if len(examples) == 1 else "Examples:"
    return "\n\n".join([*paragraphs, f"{title}\n{lines}"])
