"""``engines``: what runs each of them here."""

from __future__ import annotations

from rich.text import Text

from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.setup.environment import environment_document

__all__ = ["engines"]


@command("engines", examples=("engines", "engines --json"), place=Place.HERE)
def engines(session: Session) -> None:
    """List the engines, what runs each of them here, and what is missing for that.

    An engine may need another Python and another TVM than tunefleet's own environment has.
    """
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
