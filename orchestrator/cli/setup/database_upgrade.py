"""``db upgrade``: a database of an older release, brought to this one's schema"""

from __future__ import annotations

from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.session import Session

__all__ = ["upgrade"]


@command(
    "upgrade",
    document="db-upgrade",
    examples=("db upgrade", "db upgrade --db postgresql://me@records/tunefleet"),
)
def upgrade(session: Session) -> None:
    """Bring a database of an older release to this one's schema: whole, or not at all.

    Stop coordinators before it, and keep a copy.
    """
    from orchestrator.storage import Storage

    session.require_database()
    before, after = Storage.upgrade(session.db)
    session.emit({"database": session.database, "before": before or None, "after": after})
    if before == after:
        session.show(f"{session.database} has schema {after}, which is this release's: nothing to do")
    else:
        session.show(f"{session.database} has schema {after} now (before: {before or 'none'})")
