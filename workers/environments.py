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
import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from workers.errors import EngineError, UsageError
from workers.lifeline import die_with_parent

__all__ = ["EngineEnvironment", "folder", "install", "interpreter", "names", "status", "use", "variables"]

#: Where the engines' packages lie. By path: nothing of an engine may be imported here.
PACKAGES = Path(__file__).resolve().parent / "engines"

# What host.py and the engines are written for.
_OLDEST = (3, 10)
_VARIABLES_OF_AN_INTERPRETER = ("PYTHONEXECUTABLE", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")

_ASK_SECONDS = 60.0
# Importing TVM takes seconds where nothing else runs, and many where everything does.
_CHECK_SECONDS = 300.0
_VENV_SECONDS = 300.0
_PIP_SECONDS = 3600.0

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


def names() -> list[str]:
    """Return the names of the engines in this distribution; imports none of them."""
    return sorted(path.parent.name for path in PACKAGES.glob("*/__init__.py"))


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
    own = _requirements(engine).is_file()
    python, missing, mend = _find(engine)
    if python is None:
        return EngineEnvironment(engine, False, own, missing=missing, mend=mend)
    try:
        version, versions = json.loads(
            _run([python, "-c", _ASK, json.dumps(_TOLD)], _ASK_SECONDS, variables(python))
        )
    except (EngineError, ValueError) as error:
        missing = f"the Python of the {engine} engine, {python}, doesn't run: {error}"
        return EngineEnvironment(engine, False, own, python, missing=missing, mend=_mend(engine, anew=True))
    return EngineEnvironment(engine, True, own, python, version, versions)


def install(
    engine: str,
    python: str | None = None,
    say: Callable[[str], None] = lambda _: None,
    *,
    force: bool = False,
) -> None:
    """Make an engine's environment, or do nothing where it is there already.

    It appears under its name when it is whole, so that an installation which was killed leaves none.
    Afterwards it is what runs the engine, whatever :func:`use` had recorded.

    Parameters
    ----------
    python : str, optional
        Interpreter to make it with; looked for, if left out.
    say : callable
        Told what is being done.
    force : bool
        Make it anew even where it is there.

    Raises
    ------
    UsageError
        The engine takes no environment of its own, or `python` is none that fits.
    EngineError
        No Python was found, pip failed, what was installed doesn't import, or another process is at it.
    """
    if not _requirements(engine).is_file():
        raise UsageError(
            f"the {engine} engine runs in tunefleet's own environment: there is nothing to install"
        )
    where = folder() / engine
    with _locked(engine):
        if force or _why_not_finished(engine, where):
            _make(engine, where, _base(engine, python), say)
        else:
            say(f"the environment of the {engine} engine is in {where} already")
        _recorded(engine).unlink(missing_ok=True)


def use(engine: str, python: str) -> None:
    """Have a person's own interpreter run an engine from now on, after a look whether it can.

    Raises
    ------
    UsageError
        It doesn't run, is too old, or lacks what the engine imports.
    """
    path = _program(python)
    try:
        version = _version(path)
        if version < _OLDEST:
            raise UsageError(f"{path} is Python {_text(version)}; engines need {_text(_OLDEST)} or later")
        _check(engine, path)
    except EngineError as error:
        raise UsageError(f"{path} can't run the {engine} engine: {error}") from None
    with _locked(engine):
        record = _recorded(engine)
        fresh = record.with_name(f".{record.name}.{os.getpid()}")
        fresh.write_text(f"{path}\n")
        fresh.replace(record)


def variables(python: str = sys.executable) -> dict[str, str]:
    """Return the environment variables for a Python that runs an engine.

    Another than this process's one must not be told where this one has its library.
    """
    if python == sys.executable:
        return dict(os.environ)
    return {key: text for key, text in os.environ.items() if key not in _VARIABLES_OF_AN_INTERPRETER}


# -- finding


def _requirements(engine: str) -> Path:
    return PACKAGES / engine / "requirements.txt"


def _recorded(engine: str) -> Path:
    return folder() / f"{engine}.python"


def _directive(engine: str, name: str) -> str:
    """Return what a comment at the top of an engine's requirements says."""
    requirements = _requirements(engine)
    text = requirements.read_text() if requirements.is_file() else ""
    found = re.search(rf"^# {name}: (.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def _find(engine: str) -> tuple[str | None, str, str]:
    """Return an engine's interpreter, or None with what is missing and how to mend it."""
    if "." in engine or not (PACKAGES / engine).is_dir():
        return sys.executable, "", ""
    variable = f"TUNEFLEET_{engine.upper()}_PYTHON"
    named = os.environ.get(variable)
    if named:
        if os.access(named, os.X_OK):
            return named, "", ""
        return None, f"{variable} names {named}, which is no program", f"correct {variable}, or unset it"
    record = _recorded(engine)
    with contextlib.suppress(FileNotFoundError):
        named = record.read_text().strip()
        if os.access(named, os.X_OK):
            return named, "", ""
        return None, f"{record} names {named}, which is no program", _mend(engine)
    if not _requirements(engine).is_file():
        return sys.executable, "", ""
    missing = _why_not_finished(engine, folder() / engine)
    if missing:
        return None, missing, _mend(engine)
    return str(folder() / engine / "bin" / "python"), "", ""


def _why_not_finished(engine: str, where: Path) -> str:
    """Say what is wrong with an environment that `install` would have made; nothing where all is well."""
    if not os.access(where / "bin" / "python", os.X_OK):
        return f"the environment of the {engine} engine is not installed"
    copy = where / "requirements.txt"
    if not copy.is_file() or copy.read_bytes() != _requirements(engine).read_bytes():
        return f"the environment of the {engine} engine in {where} is another release's"
    return ""


def _mend(engine: str, *, anew: bool = False) -> str:
    wanted = _directive(engine, "python")
    if not wanted:
        return f"`tunefleet engines use {engine} --python PATH`, or remove {_recorded(engine)}"
    return (
        f"`tunefleet engines install {engine}{' --force' if anew else ''}`, "
        f"with `--python PATH` where no CPython {wanted} is found; "
        f"or, with your own TVM, `tunefleet engines use {engine} --python PATH`"
    )


# -- making


@contextlib.contextmanager
def _locked(engine: str) -> Iterator[None]:
    """Keep other processes from changing an engine's environment; the kernel unlocks when this one dies."""
    path = folder() / f".{engine}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EngineError(
                f"another process is changing the environment of the {engine} engine in {folder()}; "
                "wait until it has ended"
            ) from None
        yield


def _base(engine: str, python: str | None) -> str:
    """Return an interpreter of the version that an engine needs."""
    wanted = _directive(engine, "python")
    if python is not None:
        path = _program(python)
        try:
            version = _version(path)
        except EngineError as error:
            raise UsageError(str(error)) from None
        if _text(version) != wanted:
            raise UsageError(f"{path} is Python {_text(version)}; the {engine} engine needs CPython {wanted}")
        return path
    candidates = [sys.executable, shutil.which(f"python{wanted}")]
    candidates += map(str, sorted(Path("~/.pyenv/versions").expanduser().glob(f"{wanted}.*/bin/python")))
    for candidate in filter(None, candidates):
        # Not every python3.10 on the path is one: pyenv's stand-in fails where no such version is chosen.
        with contextlib.suppress(EngineError):
            if _text(_version(candidate)) == wanted:
                return candidate
    raise EngineError(
        f"the {engine} engine needs a CPython {wanted}, and there is no python{wanted} on the path and none "
        f"in ~/.pyenv/versions; install one, then `tunefleet engines install {engine} --python PATH`"
    )


def _make(engine: str, where: Path, base: str, say: Callable[[str], None]) -> None:
    """Make an environment beside its place, and move it there when all of it works."""
    for left in where.parent.glob(f".{engine}.venv-*"):
        shutil.rmtree(left, ignore_errors=True)
    fresh = where.with_name(f".{engine}.venv-{os.getpid()}")
    # Scripts in it would name the place it was made in. Nothing uses them: its Python is all that is started.
    python = str(fresh / "bin" / "python")
    try:
        say(f"making an environment with {base}")
        _run([base, "-I", "-m", "venv", str(fresh)], _VENV_SECONDS, variables(base))
        say(f"installing what the {engine} engine needs; this takes minutes")
        pip = [python, "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        _run([*pip, "--quiet", "-r", str(_requirements(engine))], _PIP_SECONDS, variables(python))
        say("looking whether it can be imported")
        _check(engine, python)
        shutil.copyfile(_requirements(engine), fresh / "requirements.txt")
        if where.exists():
            where.rename(where.with_name(f"{fresh.name}-old"))
        fresh.rename(where)
    except EngineError as error:
        raise EngineError(f"the environment of the {engine} engine could not be made: {error}") from None
    finally:
        for left in where.parent.glob(f".{engine}.venv-*"):
            shutil.rmtree(left, ignore_errors=True)


def _check(engine: str, python: str) -> None:
    statement = _directive(engine, "check")
    if statement:
        _run([python, "-c", statement], _CHECK_SECONDS, variables(python))


def _program(python: str) -> str:
    """Return the full path of an interpreter that a person named."""
    found = shutil.which(os.path.expanduser(python))
    if found is None:
        raise UsageError(f"{python} is no program; name a Python interpreter")
    # Links are kept: that of a virtual environment leads to a Python which knows nothing of it.
    return os.path.abspath(found)


def _version(python: str) -> tuple[int, int]:
    text = _run(
        [python, "-I", "-c", "import sys; print(*sys.version_info[:2])"], _ASK_SECONDS, variables(python)
    )
    try:
        major, minor = map(int, text.split())
    except ValueError:
        raise EngineError(f"{python} is no Python: asked for its version, it said {text[:100]!r}") from None
    return major, minor


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _run(command: list[str], timeout_s: float, environment: dict[str, str]) -> str:
    """Run a program that ends with this process, and return what it says."""
    with tempfile.TemporaryFile("w+", errors="replace") as complaints:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                timeout=timeout_s,
                text=True,
                errors="replace",
                env=environment,
                preexec_fn=die_with_parent,
            )
        except subprocess.TimeoutExpired:
            raise EngineError(f"`{' '.join(command)}` took longer than {timeout_s:.0f} s") from None
        except OSError as error:
            raise EngineError(f"{command[0]} can't be started: {error.strerror}") from None
        if done.returncode:
            complaints.seek(0)
            said = (complaints.read().strip() or done.stdout.strip())[-2000:]
            raise EngineError(f"`{' '.join(command)}` failed with exit code {done.returncode}:\n{said}")
    return done.stdout
