"""``--search``: settings of an engine's search, as many as it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from orchestrator.cli.kit import options
from orchestrator.errors import UsageError

__all__ = ["Search", "search_settings"]

Search = Annotated[
    list[str] | None,
    typer.Option(
        "--search",
        metavar="KEY=VALUE",
        rich_help_panel=options.SEARCH,
        show_default=False,
        help="A setting of the engine's search, such as population=128; a wrong one is answered with the "
        "list. Repeat it for more.",
    ),
]


def search_settings(texts: Sequence[str] | None) -> dict[str, str] | None:
    """Read ``--search``; None where it was not given. The engine knows the types and refuses what it lacks.

    Raises
    ------
    UsageError
        A text is none of ``KEY=VALUE``, or a key is there twice.
    """
    found: dict[str, str] = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key or not value.strip():
            raise UsageError(f"--search takes KEY=VALUE, such as population=128, not {text!r}")
        if key in found:
            raise UsageError(f"--search {key} is given twice")
        found[key] = value.strip()
    return found or None
