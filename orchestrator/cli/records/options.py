"""What several of the commands on records take."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["DeviceClass", "DryRun", "EngineName", "OwnEngine"]

EngineName = Annotated[
    str | None, typer.Option("--engine", metavar="NAME", help="Only its records.", show_default=False)
]
DeviceClass = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="CLASS",
        help="Only what was measured on this device class; `records stats` lists them.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
OwnEngine = Annotated[
    str | None,
    typer.Option("--engine", metavar="NAME", help="The engine whose own format it is.", show_default=False),
]
