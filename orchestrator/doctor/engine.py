"""The engine and its environment: do they start, do they compile?"""

from __future__ import annotations

import threading
from collections.abc import Callable

from orchestrator.doctor.findings import Check, Status
from orchestrator.errors import TunefleetError
from orchestrator.toolbox import Toolbox
from workers import environments

__all__ = ["check_engine", "check_environment"]

_ENGINE_SECONDS = 120.0


def check_environment(engine: str, *, optional: bool = False) -> Check | None:
    """Is the environment there that an engine needs? None where it runs in this one.

    Parameters
    ----------
    optional : bool
        Without it other engines work: that is no fault.
    """
    name = f"{engine} environment"
    found = environments.status(engine)
    if not found.ready:
        if optional and found.python is None:
            return Check(name, Status.OK, "not installed (optional)", found.mend)
        return Check(name, Status.WARN if optional else Status.FAIL, found.missing, found.mend)
    if not found.own:
        return None
    versions = "".join(f", {library} {version}" for library, version in found.versions.items())
    return Check(name, Status.OK, f"Python {found.python_version} ({found.python}){versions}")


def check_engine(
    engine: str,
    *,
    timeout_s: float = _ENGINE_SECONDS,
    toolbox: Callable[[str], Toolbox] = Toolbox,
) -> Check:
    """Does the engine start, and what target does it find?

    Parameters
    ----------
    toolbox : callable, optional
        Makes the engine's processes, by its name.
    """
    name = f"{engine} engine"
    results: list[Check] = []
    tools = toolbox(engine)

    def ask() -> None:
        try:
            device = tools.resolve_target("auto")
            results.append(
                Check(name, Status.OK, f"{tools.engine_version()}, target {device.target} on {device.model}")
            )
        except TunefleetError as error:
            results.append(
                Check(name, Status.FAIL, str(error), "mend what failed above, then run this again")
            )
        except Exception as error:  # a broken installation may raise anything
            results.append(
                Check(name, Status.FAIL, f"{type(error).__name__}: {error}", "install the project anew")
            )

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout_s)
    found = list(results)
    # It also ends a start that hangs.
    tools.stop()
    if not found:
        return Check(
            name, Status.FAIL, f"no answer within {timeout_s:.0f} s", "is the machine overloaded? try again"
        )
    return found[0]
