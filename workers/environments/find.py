"""Which Python runs an engine, or whatever else has an environment, on this machine.

An engine whose package holds a ``requirements.txt`` runs in an environment of its own; any other runs in that
of this process. Where there are several, the first of these is taken:

1. the interpreter that the variable ``TUNEFLEET_NAME_PYTHON`` names,
2. the one that ``NAME.python`` in the engines folder names, written by :func:`use`: a person's own TVM build,
3. ``NAME/bin/python`` in the engines folder, made by :func:`install`.

The file begins with two comments for this module, ``# python: 3.10`` and ``# check: import tvm``: the Python
that its pins are for (several are separated by spaces), and a statement that must run.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

from workers.environments.programs import ASK_SECONDS, run_program, variables
from workers.environments.resident import Resident, data_folder, of_engine
from workers.errors import EngineError

__all__ = ["OLDEST", "EngineEnvironment", "folder", "interpreter", "status", "why_not_finished"]

# What host.py and the engines are written for.
OLDEST = (3, 10)
_ASK = """
import importlib.metadata, json, sys
found = {}
for name, module in json.loads(sys.argv[1]).items():
    try:
        found[module] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(["%d.%d.%d" % sys.version_info[:3], found]))
"""


@dataclass(frozen=True)
class EngineEnvironment:
    """What runs an engine, or whatever else has an environment, on this machine.

    Attributes
    ----------
    engine : str
        Its name.
    ready : bool
    own : bool
        It takes an environment of its own.
    python : str or None
        The interpreter; None where there is none.
    python_version : str or None
        None where it doesn't run.
    versions : dict of str to str
        Of ``tvm``, ``numpy`` and ``xgboost``, or whatever it tells, where pip installed them there.
    missing : str
        Why it isn't ready.
    mend : str
        What to do about that.
    """

    engine: str
    ready: bool
    own: bool
    python: str | None = None
    python_version: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    missing: str = ""
    mend: str = ""


def folder() -> Path:
    """Where engines' environments are: where ``TUNEFLEET_ENGINES`` says, or in the user's data folder."""
    return data_folder("TUNEFLEET_ENGINES", "engines")


def interpreter(one: str | Resident) -> str:
    """Return the Python that runs an engine, or a module with a dot in its name, on this machine.

    Parameters
    ----------
    one : str or Resident
        An engine's name, or what else has an environment.

    Raises
    ------
    EngineError
        There is none yet, or the one that was named is gone; the text says how to mend that.
    """
    python, missing, mend = _find(of_engine(one) if isinstance(one, str) else one)
    if python is None:
        raise EngineError(f"{missing} on {socket.gethostname()}: {mend}")
    return python


def status(one: str | Resident) -> EngineEnvironment:
    """Say what runs an engine on this machine, or what is missing. Starts that Python, but no TVM."""
    resident = of_engine(one) if isinstance(one, str) else one
    name = one if isinstance(one, str) else one.name
    own = resident is not None and resident.requirements is not None
    python, missing, mend = _find(resident)
    if python is None:
        return EngineEnvironment(name, False, own, missing=missing, mend=mend)
    told = json.dumps(dict(resident.told) if resident else {})
    try:
        version, versions = json.loads(
            run_program([python, "-c", _ASK, told], ASK_SECONDS, variables(python))
        )
    except (EngineError, ValueError) as error:
        assert resident is not None
        missing = f"the Python of {resident.title}, {python}, doesn't run: {error}"
        return EngineEnvironment(name, False, own, python, missing=missing, mend=_mend(resident, anew=True))
    return EngineEnvironment(name, True, own, python, version, versions)


# -- finding


def _find(resident: Resident | None) -> tuple[str | None, str, str]:
    """Return an interpreter, or None with what is missing and how to mend it."""
    if resident is None:
        return sys.executable, "", ""
    named = os.environ.get(resident.variable)
    if named:
        if os.access(named, os.X_OK):
            return named, "", ""
        variable = resident.variable
        return None, f"{variable} names {named}, which is no program", f"correct {variable}, or unset it"
    record = resident.record
    with contextlib.suppress(FileNotFoundError):
        named = record.read_text().strip()
        if os.access(named, os.X_OK):
            return named, "", ""
        return None, f"{record} names {named}, which is no program", _mend(resident)
    if resident.requirements is None:
        return sys.executable, "", ""
    missing = why_not_finished(resident)
    if missing:
        return None, missing, _mend(resident)
    return str(resident.place / "bin" / "python"), "", ""


def why_not_finished(resident: Resident) -> str:
    """Say what is wrong with an environment that `install` would have made; nothing where all is well."""
    where, wanted = resident.place, resident.requirements
    if not os.access(where / "bin" / "python", os.X_OK):
        return f"the environment of {resident.title} is not installed"
    copy = where / "requirements.txt"
    if wanted is None or not copy.is_file() or copy.read_bytes() != wanted.read_bytes():
        return f"the environment of {resident.title} in {where} is another release's"
    return ""


def _mend(resident: Resident, *, anew: bool = False) -> str:
    use = f"`tunefleet {resident.commands} use {resident.name} --python PATH`"
    if not resident.pythons:
        return f"{use}, or remove {resident.record}"
    install = f"`tunefleet {resident.commands} install {resident.name}{' --force' if anew else ''}`"
    return (
        f"{install}, with `--python PATH` where no CPython {resident.python_text} is found; "
        f"or, with your own {resident.yours}, {use}"
    )
