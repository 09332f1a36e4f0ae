"""``converters``: what makes ONNX files of frameworks' models, and what runs each of them here."""

from __future__ import annotations

from rich.text import Text

from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.setup.converter_environment import converter_document, cost_text

__all__ = ["converters"]


@command("converters", examples=("converters", "converters --json"), place=Place.HERE)
def converters(session: Session) -> None:
    """List the converters: what each takes, what runs it here, and what installing it costs.

    A converter has an environment of its own, so that no framework gets into tunefleet's.
    """
    from orchestrator.conversion import converter_folder
    from workers.converters import packages

    found = [(package, converter_document(package)) for package in packages()]
    session.emit({"folder": str(converter_folder()), "converters": [one for _, one in found]})
    grid = Grid("converter", "state", "python", "versions", "size", "where", flexible=("versions", "where"))
    for package, one in found:
        versions = [f"{library} {version}" for library, version in one["versions"].items()]
        grid.add(
            package.name,
            Text("ready", style="green") if one["ready"] else Text("not installed", style="yellow"),
            one["python_version"] or "-",
            ", ".join(versions) or "-",
            cost_text(package),
            one["python"] or "-",
        )
    session.show(grid.table())
    for package, one in found:
        session.write(Text(f"\n{package.name} ({one['title']}) takes", style="bold"))
        for kind in one["takes"]:
            session.write(Text(f"  {kind['source']}" + ("  (--trust)" if kind["trust"] else "")))
        if not one["ready"]:
            session.write(Text(f"  {one['missing']}\n  → {one['mend']}", style="yellow"))
