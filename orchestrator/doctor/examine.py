"""What tuning needs on this machine: found or not, and how to mend it.

Nothing here changes anything, and every check ends: whatever could hang has a time limit.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable

from orchestrator.doctor.engine import check_engine, check_environment
from orchestrator.doctor.findings import Check, Status
from orchestrator.doctor.machine import (
    check_cuda,
    check_disk,
    check_gpu,
    check_home,
    check_machine,
    check_ports,
    check_shared_memory,
    nearest_folder,
)
from orchestrator.doctor.packages import check_compiler, check_packages, check_python
from orchestrator.errors import TunefleetError, UsageError
from orchestrator.toolbox import Toolbox
from workers import environments

__all__ = ["examine"]

_TRACKER_PORTS = (9190, 9890)
_SERVER_PORTS = (9090, 9890)
_DATABASE_SECONDS = 5.0


def examine(
    db: str | None = None,
    engine: str = "metaschedule",
    say: Callable[[str], None] = lambda _: None,
    toolbox: Callable[[str], Toolbox] = Toolbox,
) -> list[Check]:
    """Make all checks; takes seconds, and two minutes at the very most where an engine hangs.

    Parameters
    ----------
    db : str or None
        Database URL; None for the default file.
    say : callable
        Told what is being looked at.
    toolbox : callable
        Makes the processes of an engine, by its name.
    """
    checks = [check_python(), *check_packages(), check_compiler()]
    own = check_environment(engine)
    checks += [own] if own is not None else []
    # It would fail of what was found already.
    if own is None or own.status is Status.OK:
        say(f"starting the {engine} engine")
        checks.append(check_engine(engine, toolbox=toolbox))
    say("looking around")
    others = [check_environment(name, optional=True) for name in environments.names() if name != engine]
    checks += [check for check in others if check is not None]
    checks += [
        check_gpu(),
        check_cuda(),
        check_database(db),
        check_disk("free disk", _database_folder(db)),
        check_ports("tracker port", _TRACKER_PORTS),
        check_ports("RPC server port", _SERVER_PORTS),
        check_machine(),
        check_shared_memory(),
        check_home(),
    ]
    return checks


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


def _database_path(db: str | None) -> pathlib.Path | None:
    """The file of a SQLite database; None for a server, or for a URL that can't be read."""
    from orchestrator.storage import Storage

    try:
        return Storage(db).path
    except UsageError:
        return None


def _database_folder(db: str | None) -> pathlib.Path:
    path = _database_path(db)
    return path.parent if path else pathlib.Path.cwd()
