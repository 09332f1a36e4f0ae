"""Transactions: each retried while another one is in its way, each fault turned into a clear error."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from orchestrator.errors import StorageError
from orchestrator.storage._engine import WRITES, FileWatch, make_engine, use_wal, vacuum
from orchestrator.storage._faults import explain, is_transient
from orchestrator.storage._schema import (
    is_empty,
    make_tables,
    missing_of,
    require_current,
    require_known,
    run_migrations,
)
from orchestrator.storage._url import default_path, parse_url, safe_url, secrets_of, sqlite_path

__all__ = ["Database", "chunks"]

T = TypeVar("T")

# Parameters of one statement: SQLite's limit is 32,766, PostgreSQL's 65,535.
_CHUNK = 500
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0


def chunks(items: Iterable[T], size: int = _CHUNK) -> Iterator[list[T]]:
    """Cut ``items`` into lists short enough for the parameters of one statement."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


class Database:
    """A database that was found to be ours, and of the version this release knows.

    Parameters
    ----------
    url : str or None
        See :func:`orchestrator.storage._url.parse_url`.
    patience_s : float
        How long a call waits and retries, in seconds, while another process holds the database.

    Attributes
    ----------
    engine : Engine or None
        SQLAlchemy's, for reading; None before :meth:`connect` and after :meth:`dispose`.
    """

    def __init__(self, url: str | None, *, patience_s: float = 30.0) -> None:
        parsed = parse_url(url)
        self._url = parsed
        self._path = sqlite_path(parsed)
        self._secrets = secrets_of(parsed)
        self._patience_s = patience_s
        self.engine: Engine | None = None
        self._writer: Engine | None = None
        self._watch: FileWatch | None = None

    @property
    def url(self) -> str:
        """The URL, for people: a password in it is hidden."""
        return safe_url(self._url)

    @property
    def path(self) -> Path | None:
        """The SQLite file; None where the database is on a server."""
        return self._path

    @property
    def _where(self) -> str:
        return str(self._path) if self._path else self.url

    @property
    def _busy_s(self) -> float:
        # A third of the patience at most, so that there is more than one attempt in it.
        return min(5.0, self._patience_s / 3)

    @property
    def _dialect(self) -> str:
        return self._url.get_backend_name()

    def connect(self, *, create: bool) -> None:
        """Open; a new or empty database gets its tables where ``create`` allows it."""
        create_file = self._prepare_file(create)
        self._use(make_engine(self._url, busy_s=self._busy_s, create=create_file))
        try:
            if self.read(is_empty):
                if not create:
                    raise StorageError(f"the database {self._where} is empty: nothing was ever stored there")
                self.write(make_tables)
            self.read(lambda connection: require_current(connection, self.url))
            self._settle()
        except BaseException:
            self.dispose()
            raise

    def check(self) -> str:
        """Return the revision of the database; raise unless it is the current one and the file is sound."""
        self._open_existing()
        try:
            revision = self.read(lambda connection: require_current(connection, self.url))
            if self._dialect == "sqlite":
                found = self.read(lambda c: c.exec_driver_sql("PRAGMA quick_check(1)").scalar())
                if found != "ok":
                    raise self._damaged(str(found))
                orphan = self.read(lambda c: c.exec_driver_sql("PRAGMA foreign_key_check").first())
                if orphan is not None:
                    raise self._damaged(
                        f"a row of {orphan[0]} belongs to one of {orphan[2]} that isn't there"
                    )
            missing = self.read(missing_of)
            if missing:
                raise self._damaged(f"it lacks {', '.join(missing)}")
            return revision
        finally:
            self.dispose()

    def _damaged(self, how: str) -> StorageError:
        return StorageError(f"the database {self._where} is damaged: {how}; restore a copy")

    def upgrade(self) -> tuple[str, str]:
        """Migrate to the current revision; return the one before and the one after."""
        self._open_existing()
        try:

            def migrate(connection: Connection) -> str:
                before = "" if is_empty(connection) else require_known(connection, self.url)
                run_migrations(connection)
                return before

            before = self.write(migrate)
            after = self.read(lambda connection: require_current(connection, self.url))
            self._settle()
            return before, after
        finally:
            self.dispose()

    def _open_existing(self) -> None:
        self._prepare_file(create=False)
        self._use(make_engine(self._url, busy_s=self._busy_s))

    def _prepare_file(self, create: bool) -> bool:
        """Look at a SQLite file's path before SQLite does; return whether the file has to be made."""
        path = self._path
        if path is None:
            return False
        # In this order: another process may be making it right now.
        if path.exists():
            if not path.is_file():
                raise StorageError(f"{path} is not a file; name the database's file")
            return False
        if not create:
            raise StorageError(f"there is no database at {path}")
        try:
            if path == default_path():
                path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise StorageError(f"the folder {path.parent} can't be made: {exc.strerror}") from exc
        if not path.parent.is_dir():
            raise StorageError(f"the folder {path.parent} does not exist; make it, or name another file")
        return True

    def _settle(self) -> None:
        """Set what lasts, now that the database is known to be ours; watch the file from here on."""
        if self._path is None:
            return
        # A reader of a read-only file comes by here too, and the first write will say so. And where another
        # process is in the way of the switch, the next opening makes it.
        with contextlib.suppress(sqlite3.OperationalError):
            use_wal(self._path, self._busy_s)
        # The engine so far may have been allowed to make the file; from now on it must be there.
        self.dispose()
        self._use(make_engine(self._url, busy_s=self._busy_s))
        self._watch = FileWatch(self._path)

    def _use(self, engine: Engine) -> None:
        self.engine = engine
        self._writer = engine.execution_options(**{WRITES: True})

    def dispose(self) -> None:
        """Close every connection; calls after this raise."""
        engine, self.engine, self._writer = self.engine, None, None
        if engine is not None:
            engine.dispose()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction that sees one state of the database throughout."""
        # A lost connection to a server costs a read nothing but a second attempt.
        return self._attempt(self.engine, work, again_when_disconnected=True)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction that is committed whole, or not at all where an error is raised."""
        # A connection lost during the commit leaves open whether it happened, so that is not repeated here.
        return self._attempt(self._writer, work, again_when_disconnected=False)

    def vacuum(self) -> None:
        """Write a SQLite file anew without its gaps; see :func:`orchestrator.storage._engine.vacuum`."""
        if self._path is not None:
            vacuum(self._path, self._patience_s)

    def _attempt(
        self, engine: Engine | None, work: Callable[[Connection], T], *, again_when_disconnected: bool
    ) -> T:
        if engine is None:
            raise StorageError(f"the database {self._where} was closed")
        deadline = time.monotonic() + self._patience_s
        pause = _FIRST_PAUSE_S
        while True:
            if self._watch is not None:
                self._watch.check()
            try:
                with engine.begin() as connection:
                    return work(connection)
            except DBAPIError as exc:
                again = is_transient(exc) or (again_when_disconnected and exc.connection_invalidated)
                if not again or time.monotonic() >= deadline:
                    raise explain(exc, self._where, self._secrets) from exc
            except SQLAlchemyError as exc:
                raise explain(exc, self._where, self._secrets) from exc
            # Full jitter: several that were refused together must not come back together.
            time.sleep(random.uniform(0, pause))
            pause = min(2 * pause, _LONGEST_PAUSE_S)
