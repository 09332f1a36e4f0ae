"""An engine's environment, made or chosen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from workers.environments.find import (
    OLDEST,
    directive,
    folder,
    recorded,
    requirements_of,
    why_not_finished,
)
from workers.environments.programs import program_of, python_version, run_program, text_of, variables
from workers.errors import EngineError, UsageError

__all__ = ["install", "use"]

# Importing TVM takes seconds where nothing else runs, and many where everything does.
_CHECK_SECONDS = 300.0
_VENV_SECONDS = 300.0
_PIP_SECONDS = 3600.0


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
    requirements = requirements_of(engine)
    if requirements is None:
        raise UsageError(
            f"the {engine} engine runs in tunefleet's own environment: there is nothing to install"
        )
    where = folder() / engine
    with _locked(engine):
        if force or why_not_finished(engine, where):
            _make(engine, requirements, where, _base(engine, python), say)
        else:
            say(f"the environment of the {engine} engine is in {where} already")
        recorded(engine).unlink(missing_ok=True)


def use(engine: str, python: str) -> None:
    """Have a person's own interpreter run an engine from now on, after a look whether it can.

    Raises
    ------
    UsageError
        It doesn't run, is too old, or lacks what the engine imports.
    """
    path = program_of(python)
    try:
        version = python_version(path)
        if version < OLDEST:
            raise UsageError(f"{path} is Python {text_of(version)}; engines need {text_of(OLDEST)} or later")
        _check(engine, path)
    except EngineError as error:
        raise UsageError(f"{path} can't run the {engine} engine: {error}") from None
    with _locked(engine):
        record = recorded(engine)
        fresh = record.with_name(f".{record.name}.{os.getpid()}")
        fresh.write_text(f"{path}\n")
        fresh.replace(record)


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
    wanted = directive(engine, "python")
    if python is not None:
        path = program_of(python)
        try:
            version = python_version(path)
        except EngineError as error:
            raise UsageError(str(error)) from None
        if text_of(version) != wanted:
            raise UsageError(
                f"{path} is Python {text_of(version)}; the {engine} engine needs CPython {wanted}"
            )
        return path
    candidates = [sys.executable, shutil.which(f"python{wanted}")]
    candidates += map(str, sorted(Path("~/.pyenv/versions").expanduser().glob(f"{wanted}.*/bin/python")))
    for candidate in filter(None, candidates):
        # Not every python3.10 on the path is one: pyenv's stand-in fails where no such version is chosen.
        with contextlib.suppress(EngineError):
            if text_of(python_version(candidate)) == wanted:
                return candidate
    raise EngineError(
        f"the {engine} engine needs a CPython {wanted}, and there is no python{wanted} on the path and none "
        f"in ~/.pyenv/versions; install one, then `tunefleet engines install {engine} --python PATH`"
    )


def _make(engine: str, requirements: Path, where: Path, base: str, say: Callable[[str], None]) -> None:
    """Make an environment beside its place, and move it there when all of it works."""
    for left in where.parent.glob(f".{engine}.venv-*"):
        shutil.rmtree(left, ignore_errors=True)
    fresh = where.with_name(f".{engine}.venv-{os.getpid()}")
    # Scripts in it would name the place it was made in. Nothing uses them: its Python is all that is started.
    python = str(fresh / "bin" / "python")
    try:
        say(f"making an environment with {base}")
        run_program([base, "-I", "-m", "venv", str(fresh)], _VENV_SECONDS, variables(base))
        say(f"installing what the {engine} engine needs; this takes minutes")
        pip = [python, "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        run_program([*pip, "--quiet", "-r", str(requirements)], _PIP_SECONDS, variables(python))
        say("looking whether it can be imported")
        _check(engine, python)
        shutil.copyfile(requirements, fresh / "requirements.txt")
        if where.exists():
            where.rename(where.with_name(f"{fresh.name}-old"))
        fresh.rename(where)
    except EngineError as error:
        raise EngineError(f"the environment of the {engine} engine could not be made: {error}") from None
    finally:
        for left in where.parent.glob(f".{engine}.venv-*"):
            shutil.rmtree(left, ignore_errors=True)


def _check(engine: str, python: str) -> None:
    statement = directive(engine, "check")
    if statement:
        run_program([python, "-c", statement], _CHECK_SECONDS, variables(python))
