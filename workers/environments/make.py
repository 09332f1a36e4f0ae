"""An environment, an engine's or another's, made or chosen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from workers.environments.find import OLDEST, why_not_finished
from workers.environments.programs import program_of, python_version, run_program, text_of, variables
from workers.environments.resident import Resident, of_engine
from workers.errors import EngineError, UsageError

__all__ = ["install", "use"]

# Importing TVM takes seconds where nothing else runs, and many where everything does.
_CHECK_SECONDS = 300.0
_VENV_SECONDS = 300.0
_PIP_SECONDS = 3600.0


def install(
    one: str | Resident,
    python: str | None = None,
    say: Callable[[str], None] = lambda _: None,
    *,
    force: bool = False,
    indexes: Sequence[str] = (),
) -> None:
    """Make an engine's environment, or do nothing where it is there already.

    It appears under its name when it is whole, so that an installation which was killed leaves none.
    Afterwards it is what runs the engine, whatever :func:`use` had recorded.

    Parameters
    ----------
    one : str or Resident
        An engine's name, or what else has an environment.
    python : str, optional
        Interpreter to make it with; looked for, if left out.
    say : callable
        Told what is being done.
    force : bool
        Make it anew even where it is there.
    indexes : sequence of str
        Indexes of packages that pip asks beside those it is set to.

    Raises
    ------
    UsageError
        The engine takes no environment of its own, or `python` is none that fits.
    EngineError
        No Python was found, pip failed, what was installed doesn't import, or another process is at it.
    """
    resident = of_engine(one) if isinstance(one, str) else one
    if resident is None or resident.requirements is None:
        title = resident.title if resident else f"the {one} engine"
        raise UsageError(f"{title} runs in tunefleet's own environment: there is nothing to install")
    with _locked(resident):
        if force or why_not_finished(resident):
            _make(resident, resident.requirements, _base(resident, python), indexes, say)
        else:
            say(f"the environment of {resident.title} is in {resident.place} already")
        resident.record.unlink(missing_ok=True)


def use(one: str | Resident, python: str) -> None:
    """Have a person's own interpreter run an engine from now on, after a look whether it can.

    Raises
    ------
    UsageError
        It doesn't run, is too old, or lacks what the engine imports.
    """
    resident = of_engine(one) if isinstance(one, str) else one
    if resident is None:
        raise UsageError(f"there is no engine {one!r}")
    path = program_of(python)
    try:
        version = python_version(path)
        if version < OLDEST:
            raise UsageError(
                f"{path} is Python {text_of(version)}; {resident.title} needs {text_of(OLDEST)} or later"
            )
        _check(resident, path)
    except EngineError as error:
        raise UsageError(f"{path} can't run {resident.title}: {error}") from None
    with _locked(resident):
        record = resident.record
        fresh = record.with_name(f".{record.name}.{os.getpid()}")
        fresh.write_text(f"{path}\n")
        fresh.replace(record)


# -- making
@contextlib.contextmanager
def _locked(resident: Resident) -> Iterator[None]:
    """Keep other processes from changing an environment; the kernel unlocks when this one dies."""
    path = resident.home / f".{resident.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EngineError(
                f"another process is changing the environment of {resident.title} in {resident.home}; "
                "wait until it has ended"
            ) from None
        yield


def _base(resident: Resident, python: str | None) -> str:
    """Return an interpreter of a version that the pins are for."""
    wanted = resident.pythons
    if python is not None:
        path = program_of(python)
        try:
            version = python_version(path)
        except EngineError as error:
            raise UsageError(str(error)) from None
        if text_of(version) not in wanted:
            raise UsageError(
                f"{path} is Python {text_of(version)}; {resident.title} needs CPython {resident.python_text}"
            )
        return path
    candidates: list[str | None] = [sys.executable]
    for one in wanted:
        candidates.append(shutil.which(f"python{one}"))
        candidates += map(str, sorted(Path("~/.pyenv/versions").expanduser().glob(f"{one}.*/bin/python")))
    for candidate in filter(None, candidates):
        # Not every python3.10 on the path is one: pyenv's stand-in fails where no such version is chosen.
        with contextlib.suppress(EngineError):
            if text_of(python_version(candidate)) in wanted:
                return candidate
    names = " or ".join(f"python{one}" for one in wanted)
    raise EngineError(
        f"{resident.title} needs a CPython {resident.python_text}, and there is no {names} on the path and "
        f"none in ~/.pyenv/versions; install one, then "
        f"`tunefleet {resident.commands} install {resident.name} --python PATH`"
    )


def _make(
    resident: Resident, requirements: Path, base: str, indexes: Sequence[str], say: Callable[[str], None]
) -> None:
    """Make an environment beside its place, and move it there when all of it works."""
    where, name = resident.place, resident.name
    for left in where.parent.glob(f".{name}.venv-*"):
        shutil.rmtree(left, ignore_errors=True)
    fresh = where.with_name(f".{name}.venv-{os.getpid()}")
    # Scripts in it would name the place it was made in. Nothing uses them: its Python is all that is started.
    python = str(fresh / "bin" / "python")
    try:
        say(f"making an environment with {base}")
        run_program([base, "-I", "-m", "venv", str(fresh)], _VENV_SECONDS, variables(base))
        say(f"installing what {resident.title} needs; this takes minutes")
        pip = [python, "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        pip += [word for index in indexes for word in ("--extra-index-url", index)]
        run_program([*pip, "--quiet", "-r", str(requirements)], _PIP_SECONDS, variables(python))
        say("looking whether it can be imported")
        _check(resident, python)
        shutil.copyfile(requirements, fresh / "requirements.txt")
        if where.exists():
            where.rename(where.with_name(f"{fresh.name}-old"))
        fresh.rename(where)
    except EngineError as error:
        raise EngineError(f"the environment of {resident.title} could not be made: {error}") from None
    finally:
        for left in where.parent.glob(f".{name}.venv-*"):
            shutil.rmtree(left, ignore_errors=True)


def _check(resident: Resident, python: str) -> None:
    statement = resident.directive("check")
    if statement:
        run_program([python, "-c", statement], _CHECK_SECONDS, variables(python))
