"""The database: can it be used, and is it of this release?"""

from __future__ import annotations

import os
import pathlib

from orchestrator.doctor.findings import Check, Status
from orchestrator.doctor.machine import nearest_folder
from orchestrator.errors import TunefleetError, UsageError

__all__ = ["check_database", "database_folder"]

_DATABASE_SECONDS = 5.0


def check_database(db: str | None) -> Check:
    """Can the database be read and written, and is its schema this release's?"""
    from orchestrator.storage import Storage, default_path, safe_url

    name = "database"
    path = _database_path(db)
    where = str(path) if path else safe_url(db or "")
    if path is not None and not path.exists():
        folder = path.parent
        if db is not None and not folder.is_dir():
            return Check(
                name, Status.FAIL, f"there is no folder {folder}", "make it, or name another file with --db"
            )
        folder = nearest_folder(folder)
        if not os.access(folder, os.W_OK | os.X_OK):
            return Check(name, Status.FAIL, f"{folder} can't be written to", "name another file with --db")
        return Check(name, Status.OK, f"{where} (will be made)")
    try:
        revision = Storage.check(db, patience_s=_DATABASE_SECONDS)
    except TunefleetError as error:
        # The text says what to do.
        return Check(name, Status.FAIL, str(error))
    if path is not None and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)):
        mend = f"give yourself write permission on it and on {path.parent}"
        return Check(name, Status.FAIL, f"{where} can be read only", mend)
    default = " (the default)" if path == default_path() else ""
    return Check(name, Status.OK, f"{where}{default}, schema {revision}")


def database_folder(db: str | None) -> pathlib.Path:
    """Return the folder that the database is in, or will be; this one where it is on a server."""
    path = _database_path(db)
    return path.parent if path else pathlib.Path.cwd()


def _database_path(db: str | None) -> pathlib.Path | None:
    """The file of a SQLite database; None for a server, or for a URL that can't be read."""
    from orchestrator.storage import Storage

    try:
        return Storage(db).path
    except UsageError:
        return None
