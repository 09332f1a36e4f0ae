"""What a driver's exception means: worth another try, or which clear error."""

from __future__ import annotations

import re
import sqlite3

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from orchestrator.errors import StorageError

__all__ = ["explain", "is_transient"]

# PostgreSQL: serialization_failure, deadlock_detected, lock_not_available, and those of a server that starts,
# stops or has no connection left.
_TRANSIENT_SQLSTATES = frozenset({"40001", "40P01", "55P03", "57P03", "53300"})

_SQLITE_TEXTS = (
    # Prefix of SQLite's own name of the (extended) result code, and what to tell a person.
    ("SQLITE_BUSY", "is locked by another process; find out which one holds it, or try again"),
    ("SQLITE_LOCKED", "is locked by another process; find out which one holds it, or try again"),
    ("SQLITE_READONLY", "is read-only: give this user write permission on the file and its folder"),
    ("SQLITE_PERM", "is not accessible: give this user permission on the file and its folder"),
    ("SQLITE_FULL", "is full (no space left on its disk): free some space; nothing of this write was kept"),
    ("SQLITE_NOTADB", "is not a SQLite database: name another file with --db, or move this one away"),
    ("SQLITE_CORRUPT", "is damaged: restore a copy, or save what is readable with `sqlite3 FILE .recover`"),
    ("SQLITE_CANTOPEN", "can't be opened: its folder is gone, or this user may not read or write there"),
    ("SQLITE_IOERR", "could not be read or written: the disk reports an error"),
)
_SQLSTATE_TEXTS = {
    "53100": "is full (no space left on the server's disk); nothing of this write was kept",
    "25006": "is read-only for this user or on this server",
    "42501": "refuses this user: permission is missing",
    "28P01": "refuses the password",
    "3D000": "does not exist on that server: create it with `createdb`",
    "53300": "has no connection left: end other clients, or raise the server's max_connections",
    "57P03": "is on a server that is starting up or shutting down",
}
# While it connects, libpq passes the server's words on, and the codes not.
_WHILE_CONNECTING = (
    (re.compile("password authentication failed"), "28P01"),
    (re.compile("database .* does not exist"), "3D000"),
    (re.compile("too many (clients|connections)|remaining connection slots"), "53300"),
    (re.compile("starting up|shutting down|not yet accepting connections"), "57P03"),
)
_UNREACHABLE = re.compile(r"connection (failed|is bad): (connection to server )?")


def _sqlite_name(error: DBAPIError) -> str:
    orig = error.orig
    return getattr(orig, "sqlite_errorname", "") if isinstance(orig, sqlite3.Error) else ""


def _sqlstate(error: DBAPIError) -> str:
    known: str = getattr(error.orig, "sqlstate", None) or ""
    words = str(error.orig)
    if known or not _UNREACHABLE.match(words):
        return known
    return next((state for pattern, state in _WHILE_CONNECTING if pattern.search(words)), "")


def is_transient(error: DBAPIError) -> bool:
    """Whether the transaction was refused because of another one: undone as a whole, it can be repeated."""
    if _sqlite_name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return True
    return _sqlstate(error) in _TRANSIENT_SQLSTATES


def explain(error: SQLAlchemyError, where: str, secrets: tuple[str, ...] = ()) -> StorageError:
    """Turn a driver's exception into a clear error about the database ``where``."""
    if not isinstance(error, DBAPIError):
        return StorageError(_strike(f"the database {where} could not be used: {error}", secrets))
    name = _sqlite_name(error)
    for prefix, text in _SQLITE_TEXTS:
        if name.startswith(prefix):
            return StorageError(f"the database {where} {text}")
    text = _SQLSTATE_TEXTS.get(_sqlstate(error), "")
    if text:
        return StorageError(f"the database {where} {text}")
    # The driver's own words, first line: SQLAlchemy's text would add the statement and a link.
    words = (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]
    if _UNREACHABLE.match(words):
        words = _UNREACHABLE.sub("", words, count=1)
        return StorageError(_strike(f"the database {where} can't be reached: {words}", secrets))
    if error.connection_invalidated:
        return StorageError(_strike(f"the connection to the database {where} was lost: {words}", secrets))
    return StorageError(_strike(f"the database {where} refused: {words}", secrets))


def _strike(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
