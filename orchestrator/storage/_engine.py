"""Connections: how a database is reached, and what every connection is set to."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from orchestrator.errors import StorageError
from orchestrator.storage._url import sqlite_path

__all__ = ["WRITES", "FileWatch", "make_engine", "use_wal", "vacuum"]

WRITES = "tunefleet_writes"
"""Execution option of a connection whose transactions write."""


def make_engine(url: URL, *, busy_s: float, create: bool = False) -> Engine:
    """Make an engine with this project's settings; connects to nothing yet.

    Parameters
    ----------
    busy_s : float
        Seconds a connection waits for another's lock before it reports one.
    create : bool
        Whether a SQLite file that isn't there may come into being.
    """
    path = sqlite_path(url)
    if path is None:
        try:
            return create_engine(url, hide_parameters=True, pool_pre_ping=True)
        except ModuleNotFoundError as exc:
            raise StorageError(
                'PostgreSQL needs the psycopg driver: run `pip install "psycopg[binary]"`'
            ) from exc
    return _sqlite_engine(url, path, busy_s, create)


def _sqlite_engine(url: URL, path: Path, busy_s: float, create: bool) -> Engine:
    # Opened by URI for its mode: a plain path would quietly put a new empty file where a deleted one was.
    uri = f"{path.as_uri()}?mode={'rwc' if create else 'rw'}"

    def connect() -> sqlite3.Connection:
        # isolation_level None: the driver's own, late BEGIN would let two transactions read before either
        # writes, and then refuse one of them without waiting.
        return sqlite3.connect(uri, uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False)

    engine = create_engine(url, creator=connect, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _settings(connection: sqlite3.Connection, _: Any) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        # A commit survives kill -9 at NORMAL too, because the operating system holds what was written; after
        # a power cut, NORMAL with WAL loses the last commits. FULL adds one fsync a commit: milliseconds, at
        # about one commit a second, for trials that cost seconds of a device each.
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        # A writer takes its lock first, so that it waits for it (busy timeout) and never has to be undone
        # halfway.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def use_wal(path: Path, busy_s: float) -> None:
    """Let readers and a writer of a SQLite file go on side by side; lasts, as a property of the file.

    Where the file system can't (some network ones), SQLite keeps its former journal, slower but as safe.
    """
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=busy_s, isolation_level=None)
    try:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def vacuum(path: Path, busy_s: float) -> None:
    """Write a SQLite file anew without its gaps; does nothing where it is held or the disk has no room."""
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(
            sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=busy_s, isolation_level=None)
        ) as connection,
    ):
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class FileWatch:
    """Notices that an open SQLite file was deleted or replaced.

    SQLite doesn't: it goes on writing to the file without a name, and all of it is lost at the end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = self._look()

    def _look(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return (found.st_dev, found.st_ino)

    def check(self) -> None:
        """Raise :class:`StorageError` unless the path still leads to the file that was opened."""
        now = self._look()
        if now == self._identity and now is not None:
            return
        if now is None:
            raise StorageError(
                f"the database {self._path} is gone: the file was deleted or its disk detached"
            )
        raise StorageError(f"the database {self._path} was replaced by another file while it was in use")
