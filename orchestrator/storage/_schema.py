"""Which version a database's schema has, and bringing an older one up."""

from __future__ import annotations

import shlex
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from orchestrator.errors import SchemaError
from orchestrator.storage._tables import Base

__all__ = [
    "HEAD",
    "REVISIONS",
    "is_empty",
    "make_tables",
    "missing_of",
    "require_current",
    "require_known",
    "revision_of",
    "run_migrations",
]

REVISIONS = (
    *("0001", "0002", "0003", "0004", "0005", "0006"),
    *("0007", "0008", "0009", "0010", "0011", "0012", "0013", "0014", "0015"),
)
"""Every revision, oldest first. Written out so that opening a database needn't load Alembic."""

HEAD = REVISIONS[-1]

# Alembic's table alone proves nothing: other projects have one too. These were there from the first revision
# on.
_OURS = frozenset({"campaigns", "trials", "workloads"})
# Any number, the same in all releases: keeps two processes from making or migrating one PostgreSQL database
# at once.
_MIGRATION_LOCK = 7_126_025_316


def is_empty(connection: Connection) -> bool:
    """Whether the database has no table at all."""
    return not inspect(connection).get_table_names()


def revision_of(connection: Connection, where: str) -> str:
    """Read the schema's revision; refuse a database that is somebody else's.

    Raises
    ------
    SchemaError
    """
    tables = set(inspect(connection).get_table_names())
    if "alembic_version" not in tables or not tables >= _OURS:
        names = ", ".join(sorted(tables)[:5]) or "none"
        raise SchemaError(
            f"{where} is a database of something else (its tables: {names}); name another one with --db"
        )
    revisions = [str(row[0]) for row in connection.execute(text("SELECT version_num FROM alembic_version"))]
    if len(revisions) != 1:
        raise SchemaError(
            f"{where} is damaged: it has {len(revisions)} schema revisions, not one; restore a copy"
        )
    return revisions[0]


def require_known(connection: Connection, where: str) -> str:
    """Return the revision if it is one that this release can upgrade from, or its own.

    Raises
    ------
    SchemaError
        It is a newer release's.
    """
    found = revision_of(connection, where)
    if found not in REVISIONS:
        raise SchemaError(
            f"{where} has schema {found}, this release knows none newer than {HEAD}: "
            "it was written by a newer tunefleet; upgrade tunefleet to use it"
        )
    return found


def require_current(connection: Connection, where: str) -> str:
    """Return the revision if it is the one this release works with.

    Raises
    ------
    SchemaError
        With the command that mends it.
    """
    found = require_known(connection, where)
    if found != HEAD:
        raise SchemaError(
            f"{where} has schema {found}, this release needs {HEAD}; "
            f"run `tunefleet db upgrade --db {shlex.quote(where)}`"
        )
    return found


def missing_of(connection: Connection) -> list[str]:
    """Name what a database lacks of this release's tables, columns, indexes and constraints."""
    # Alembic loads slowly, and only a check needs this.
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    missing = []
    for change in compare_metadata(MigrationContext.configure(connection), Base.metadata):
        # Others are of what is there, in a list each, or of what somebody put beside ours.
        if isinstance(change, tuple) and change[0].startswith("add_"):
            what = change[0].removeprefix("add_")
            name = f"{change[2]}.{change[3].name}" if what == "column" else change[1].name
            missing.append(f"the {what} {name}")
    return missing


def make_tables(connection: Connection) -> None:
    """Make this release's tables inside the connection's transaction; does nothing where there are any.

    The same as all migrations give, one after the other, which take four times as long, and Alembic besides.
    A test compares both.
    """
    _alone(connection)
    # Asked here, where nobody else makes any: of two that found it empty, the second waited for the first.
    if not is_empty(connection):
        return
    Base.metadata.create_all(connection, checkfirst=False)
    # As Alembic makes it.
    connection.execute(
        text(
            "CREATE TABLE alembic_version "
            "(version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(text("INSERT INTO alembic_version (version_num) VALUES (:head)"), {"head": HEAD})


def run_migrations(connection: Connection) -> None:
    """Bring the schema to :data:`HEAD` inside the connection's transaction: all of it or nothing."""
    # Alembic loads slowly, and an opened database rarely needs it.
    from alembic import command
    from alembic.config import Config

    _alone(connection)
    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _alone(connection: Connection) -> None:
    """Wait until no other process makes or migrates this database, to the transaction's end."""
    # On SQLite, a transaction that writes is alone from its beginning.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
