"""Which Python runs an engine on this machine, and making that Python's environment.

An engine whose package holds a ``requirements.txt`` runs in an environment of its own; any other runs in that
of this process. Where there are several, the first of these is taken:

1. the interpreter that the variable ``TUNEFLEET_NAME_PYTHON`` names,
2. the one that ``NAME.python`` in the engines folder names, written by :func:`use`: a person's own TVM build,
3. ``NAME/bin/python`` in the engines folder, made by :func:`install`.

The file begins with two comments for this module, ``# python: 3.10`` and ``# check: import tvm``: the Python
that its pins are for, and a statement that must run.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

from workers.environments.packages import find_package
from workers.environments.programs import ASK_SECONDS, run_program, variables
from workers.errors import EngineError

__all__ = [
    "OLDEST",
    "EngineEnvironment",
    "directive",
    "folder",
    "interpreter",
    "recorded",
    "requirements_of",
    "status",
    "why_not_finished",
]

# What host.py and the engines are written for.
OLDEST = (3, 10)
# Distributions by what they install: several install a module `tvm`.
_TOLD = {"apache-tvm": "tvm", "hhb-tvm": "tvm", "numpy": "numpy", "xgboost": "xgboost"}
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
    """What runs an engine on this machine.

    Attributes
    ----------
    engine : str
    ready : bool
    own : bool
        It takes an environment of its own.
    python : str or None
        The interpreter; None where there is none.
    python_version : str or None
        None where it doesn't run.
    versions : dict of str to str
        Of ``tvm``, ``numpy`` and ``xgboost``, where pip installed them there.
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
    """Where environments are kept: where ``TUNEFLEET_ENGINES`` says, or in the user's data folder."""
    named = os.environ.get("TUNEFLEET_ENGINES")
    if named:
        return Path(named).expanduser().absolute()
    # Not at the top: an engine's own environment imports this package's modules, and has no platformdirs.
    from platformdirs import user_data_dir

    return Path(user_data_dir("tunefleet", appauthor=False)) / "engines"


def interpreter(engine: str) -> str:
    """Return the Python that runs an engine, or a module with a dot in its name, on this machine.

    Raises
    ------
    EngineError
        There is none yet, or the one that was named is gone; the text says how to mend that.
    """
    python, missing, mend = _find(engine)
    if python is None:
        raise EngineError(f"{missing} on {socket.gethostname()}: {mend}")
    return python


def status(engine: str) -> EngineEnvironment:
    """Say what runs an engine on this machine, or what is missing. Starts that Python, but no TVM."""
    own = requirements_of(engine) is not None
    python, missing, mend = _find(engine)
    if python is None:
        return EngineEnvironment(engine, False, own, missing=missing, mend=mend)
    try:
        version, versions = json.loads(
            run_program([python, "-c", _ASK, json.dumps(_TOLD)], ASK_SECONDS, variables(python))
        )
    except (EngineError, ValueError) as error:
        missing = f"the Python of the {engine} engine, {python}, doesn't run: {error}"
        return EngineEnvironment(engine, False, own, python, missing=missing, mend=_mend(engine, anew=True))
    return EngineEnvironment(engine, True, own, python, version, versions)


# -- finding
def requirements_of(engine: str) -> Path | None:
    """Return what an engine's own environment is made from; None where it takes none."""
    package = find_package(engine)
    return package.requirements if package is not None and package.requirements.is_file() else None


def recorded(engine: str) -> Path:
    return folder() / f"{engine}.python"


def directive(engine: str, name: str) -> str:
    """Return what a comment at the top of an engine's requirements says."""
    requirements = requirements_of(engine)
    text = "" if requirements is None else requirements.read_text()
    found = re.search(rf"^# {name}: (.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def _find(engine: str) -> tuple[str | None, str, str]:
    """Return an engine's interpreter, or None with what is missing and how to mend it."""
    if "." in engine or find_package(engine) is None:
        return sys.executable, "", ""
    variable = f"TUNEFLEET_{engine.upper()}_PYTHON"
    named = os.environ.get(variable)
    if named:
        if os.access(named, os.X_OK):
            return named, "", ""
        return None, f"{variable} names {named}, which is no program", f"correct {variable}, or unset it"
    record = recorded(engine)
    with contextlib.suppress(FileNotFoundError):
        named = record.read_text().strip()
        if os.access(named, os.X_OK):
            return named, "", ""
        return None, f"{record} names {named}, which is no program", _mend(engine)
    if requirements_of(engine) is None:
        return sys.executable, "", ""
    missing = why_not_finished(engine, folder() / engine)
    if missing:
        return None, missing, _mend(engine)
    return str(folder() / engine / "bin" / "python"), "", ""


def why_not_finished(engine: str, where: Path) -> str:
    """Say what is wrong with an environment that `install` would have made; nothing where all is well."""
    if not os.access(where / "bin" / "python", os.X_OK):
        return f"the environment of the {engine} engine is not installed"
    copy = where / "requirements.txt"
    wanted = requirements_of(engine)
    if wanted is None or not copy.is_file() or copy.read_bytes() != wanted.read_bytes():
        return f"the environment of the {engine} engine in {where} is another release's"
    return ""


def _mend(engine: str, *, anew: bool = False) -> str:
    wanted = directive(engine, "python")
    if not wanted:
        return f"`tunefleet engines use {engine} --python PATH`, or remove {recorded(engine)}"
    return (
        f"`tunefleet engines install {engine}{' --force' if anew else ''}`, "
        f"with `--python PATH` where no CPython {wanted} is found; "
        f"or, with your own TVM, `tunefleet engines use {engine} --python PATH`"
    )
