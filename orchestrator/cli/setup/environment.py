"""What runs an engine on this machine: what the commands on engines take and write of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from orchestrator.cli.kit.session import Session

if TYPE_CHECKING:
    from workers.environments import EngineEnvironment

__all__ = ["EngineName", "environment_document", "tell_environment"]

EngineName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The engine; `tunefleet engines` lists them.", show_default=False),
]


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


def tell_environment(session: Session, name: str) -> None:
    """Say what runs an engine now: a variable goes before all that a command does."""
    from workers import environments

    now = environments.status(name)
    session.emit({"engine": environment_document(now)})
    if now.ready:
        session.write(Text(f"the {name} engine runs on {now.python}, Python {now.python_version}"))
    else:
        session.write(Text(f"{now.missing}\n→ {now.mend}", style="yellow"))
