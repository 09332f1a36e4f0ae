"""What runs a converter on this machine: what the commands on converters take and write of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from orchestrator.cli.kit.session import Session
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from workers.converters import ConverterPackage

__all__ = ["ConverterName", "converter_document", "converter_named", "cost_text", "tell_converter"]

ConverterName = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The converter; `tunefleet converters` lists them.", show_default=False
    ),
]


def converter_named(name: str) -> ConverterPackage:
    """Return a converter's package.

    Raises
    ------
    UsageError
        There is none of that name.
    """
    from workers.converters import CONVERTERS, find_converter

    package = find_converter(name)
    if package is None:
        raise UsageError(f"there is no converter {name!r}; there are: {', '.join(CONVERTERS)}")
    return package


def cost_text(package: ConverterPackage) -> str:
    """Say what an environment takes of the disk, and of a person's time."""
    converter = package.load()
    return f"{converter.megabytes / 1000:.1f} GB, about {converter.minutes:g} min"


def converter_document(package: ConverterPackage) -> dict[str, Any]:
    """A converter, and what runs it on this machine."""
    from orchestrator.conversion import resident_of
    from workers import environments

    converter, found = package.load(), environments.status(resident_of(package))
    return {
        "name": package.name,
        "title": converter.title,
        "ready": found.ready,
        "python": found.python,
        "python_version": found.python_version,
        "versions": found.versions,
        "missing": found.missing,
        "mend": found.mend,
        "megabytes": converter.megabytes,
        "minutes": converter.minutes,
        "note": converter.note,
        "takes": [
            {"kind": kind.name, "source": kind.source, "trust": kind.trust}
            for kind in converter.kinds
            if not kind.refused
        ],
    }


def tell_converter(session: Session, package: ConverterPackage) -> None:
    """Say what runs a converter now: a variable goes before all that a command does."""
    now = converter_document(package)
    session.emit({"converter": now})
    if now["ready"]:
        title = f"the {now['title']} converter"
        session.write(Text(f"{title} runs on {now['python']}, Python {now['python_version']}"))
    else:
        session.write(Text(f"{now['missing']}\n→ {now['mend']}", style="yellow"))
