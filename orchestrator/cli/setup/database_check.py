"""``db check``: is a database sound, and of this release's schema?"""

from __future__ import annotations

from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.session import Session

__all__ = ["check"]


@command("check", document="db-check", examples=("db check", "db check --db records.db --json"))
def check(session: Session) -> None:
    """Look whether a database is sound and has this release's schema."""
    from orchestrator.storage import Storage

    session.require_database()
    revision = Storage.check(session.db)
    session.emit({"database": session.database, "schema_revision": revision})
    session.show(f"{session.database} is sound and has schema {revision}")
