"""Commands about what runs the engines: engines, engines install, engines use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.arguments import require_engine
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.session import Session

if TYPE_CHECKING:
    from workers.environments import EngineEnvironment

__all__ = ["environment_document", "register"]


def environment_document(environment: EngineEnvironment) -> dict[str, Any]:
    """What runs an engine on this machine."""
    return {
        "name": environment.engine,
        "ready": environment.ready,
        "own_environment": environment.own,
        "python": environment.python,
        "python_version": environment.python_version,
        "versions": environment.versions,
        "missing": environment.missing,
        "mend": environment.mend,
    }


_Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The engine; `tunefleet engines` lists them.", show_default=False),
]
_Base = Annotated[
    str | None,
    typer.Option(
        "--python",
        metavar="PATH",
        help="Python to make it with; left out, it is looked for on the path and among pyenv's.",
        show_default=False,
    ),
]
_Own = Annotated[
    str,
    typer.Option("--python", metavar="PATH", help="The interpreter that has your TVM.", show_default=False),
]
_Force = Annotated[bool, typer.Option("--force", help="Make it anew, even where it is there.")]


def register(app: typer.Typer) -> None:
    """Add the group and its commands."""
    group = typer.Typer(rich_markup_mode="rich")
    command(group, "engines", of_group=True, examples=("engines", "engines --json"))(engines)
    command(
        group,
        "install",
        document="engines-install",
        examples=("engines install NAME", "engines install NAME --python /opt/python3.10/bin/python3"),
    )(install)
    command(
        group,
        "use",
        document="engines-use",
        examples=("engines use NAME --python ~/tvm-0.18/venv/bin/python",),
    )(use)
    app.add_typer(group, name="engines", rich_help_panel=options.PANELS.SETUP)


def engines(session: Session) -> None:
    """List the engines, what runs each of them here, and what is missing for that.

    An engine may need another Python and another TVM than tunefleet's own environment has.
    """
    pass
    from orchestrator.cli.kit.grid import Grid
    from workers import environments

    found = [environments.status(name) for name in environments.names()]
    session.emit(
        {"folder": str(environments.folder()), "engines": [environment_document(one) for one in found]}
    )
    grid = Grid("engine", "state", "python", "versions", "where", flexible=("versions", "where"))
    for one in found:
        grid.add(
            one.engine,
            Text("ready", style="green") if one.ready else Text("missing", style="yellow"),
            one.python_version or "-",
            ", ".join(f"{library} {version}" for library, version in one.versions.items()) or "-",
            one.python or "-",
        )
    session.show(grid.table())
    for one in found:
        if not one.ready:
            session.write(Text(f"\n{one.missing}\n→ {one.mend}", style="yellow"))


def install(session: Session, name: _Name, python: _Base = None, force: _Force = False) -> None:
    """Make the environment of an engine that needs its own, and let that run the engine.

    It takes minutes and more than a gigabyte, in your data folder or the one that TUNEFLEET_ENGINES names.
    """
    from workers import environments

    require_engine(name, installed=False)
    with session.steps() as steps:
        environments.install(name, python, steps, force=force)
    _tell(session, name)


def use(session: Session, name: _Name, python: _Own) -> None:
    """Let an interpreter of yours run an engine: your own TVM build, for example.

    It is imported once to see whether it works. `tunefleet engines install` takes it back.
    """
    from workers import environments

    require_engine(name, installed=False)
    with session.steps() as steps:
        steps(f"looking whether {python} can run the {name} engine")
        environments.use(name, python)
    _tell(session, name)


def _tell(session: Session, name: str) -> None:
    """Say what runs an engine now: a variable goes before all that a command does."""
    pass
    from workers import environments

    now = environments.status(name)
    session.emit({"engine": environment_document(now)})
    if now.ready:
        session.write(Text(f"the {name} engine runs on {now.python}, Python {now.python_version}"))
    else:
        session.write(Text(f"{now.missing}\n→ {now.mend}", style="yellow"))
