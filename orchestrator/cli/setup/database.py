"""Commands about the database: db upgrade, db check."""

from __future__ import annotations

import typer

from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.session import Session
from orchestrator.errors import NotFoundError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the group and its commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Look after the database.")
    command(
        group,
        "upgrade",
        document="db-upgrade",
        examples=("db upgrade", "db upgrade --db postgresql://me@records/tunefleet"),
    )(upgrade)
    command(group, "check", document="db-check", examples=("db check", "db check --db records.db --json"))(
        check
    )
    app.add_typer(group, name="db", rich_help_panel=options.PANELS.SETUP)


def upgrade(session: Session) -> None:
    """Bring a database of an older release to this one's schema: whole, or not at all.

    Stop coordinators before it, and keep a copy.
    """
    from orchestrator.storage import Storage

    _require_file(session)
    before, after = Storage.upgrade(session.db)
    session.emit({"database": session.database, "before": before or None, "after": after})
    if before == after:
        session.show(f"{session.database} has schema {after}, which is this release's: nothing to do")
    else:
        session.show(f"{session.database} has schema {after} now (before: {before or 'none'})")


def check(session: Session) -> None:
    """Look whether a database is sound and has this release's schema."""
    from orchestrator.storage import Storage

    _require_file(session)
    revision = Storage.check(session.db)
    session.emit({"database": session.database, "schema_revision": revision})
    session.show(f"{session.database} is sound and has schema {revision}")


def _require_file(session: Session) -> None:
    session.name_database()
    if session.is_unused:
        raise NotFoundError(f"nothing was stored yet: there is no {session.database}")
