"""What tuning needs on this machine: found or not, and how to mend it.

Nothing here changes anything, and every check ends: whatever could hang has a time limit.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.doctor.database import check_database, database_folder
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
)
from orchestrator.doctor.packages import check_compiler, check_jobs, check_packages, check_python
from orchestrator.toolbox import Toolbox
from workers import environments

__all__ = ["examine"]

_TRACKER_PORTS = (9190, 9890)
_SERVER_PORTS = (9090, 9890)


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
        check_jobs(),
        check_database(db),
        check_disk("free disk", database_folder(db)),
        check_ports("tracker port", _TRACKER_PORTS),
        check_ports("RPC server port", _SERVER_PORTS),
        check_machine(),
        check_shared_memory(),
        check_home(),
    ]
    return checks
