"""``records keygen``: a pair of keys to sign records with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import short_path

__all__ = ["keygen"]


@command("keygen", document="records-keygen", examples=("records keygen -o lab.key",), place=Place.HERE)
def keygen(
    session: Session,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The private key to write; the public one is FILE.pub.",
            show_default=False,
        ),
    ],
) -> None:
    """Make a pair of Ed25519 keys to sign records with.

    Keep the private one, for `records export --sign`; hand out the public one, for `records import --trust`.
    They are PEM files as `openssl genpkey -algorithm ed25519` writes them, and such ones do as well.
    """
    from orchestrator.records.keys import make_keys

    private, public, key = make_keys(output)
    session.emit({"private": str(private), "public": str(public), "key": key.name})
    session.write(
        Text(f"wrote {short_path(str(private))}, which nobody else may read"),
        Text(f"wrote {short_path(str(public))}, to hand out: {key.name}"),
    )
