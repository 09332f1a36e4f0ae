"""A person's function that returns a model: found, called, its errors told, and what it was made of.

Runs in a converter's own interpreter; the standard library alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import random
import site
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from workers.converters.contract import FAILED, NEEDS_ARGUMENTS, RAISED, ConversionError

__all__ = ["call", "note", "raised"]

_WORDS = 500
_FEW = 6
_OWN = Path(__file__).resolve().parents[1]
# What a device is is no file; and people keep models in /dev/shm.
_KERNEL = ("/proc", "/sys")
_opened: set[str] = set()
_watching = False
# Packages that were imported before a person's code was: the framework's, and what it needs.
_frameworks: set[str] = set()


def call(
    source: str, converter: str, models: tuple[type, ...] = (), seed: int = 0
) -> tuple[Any, tuple[str, ...]]:
    """Import a function and call it without arguments.

    The framework has to be imported already: what it consists of goes by its version, and what is imported
    from here on counts to what the model is made of.

    Parameters
    ----------
    source : str
        ``package.module:function`` or ``/absolute/file.py:function``.
    converter : str
        Whose environment this is.
    models : tuple of type
        Instances of these may stand for a function that returns them.
    seed : int
        Of Python's and numpy's own random numbers; a framework's are for the converter to seed.

    Returns
    -------
    made : object
        What it returned.
    files : tuple of str
        What it was made of: its own module, those imported meanwhile, and whatever was opened for reading.

    Raises
    ------
    ConversionError
        `FAILED`: there is no such module or function. `NEEDS_ARGUMENTS`: it can't be called without.
        `RAISED`: it raised.
    """
    place, _, name = source.rpartition(":")
    files: set[str] = set()
    _note_frameworks()
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    with _reading(files):
        module = _imported(place, converter)
        found: Any = module
        for part in name.split("."):
            if not hasattr(found, part):
                there = [one for one, value in vars(module).items() if callable(value) and one[0] != "_"]
                listed = f"; it has {', '.join(there[:_FEW])}" if there else ""
                raise ConversionError(FAILED, f"{place} has no {name}{listed}")
            found = getattr(found, part)
        made = found if isinstance(found, models) else _called(name, found)
    # The framework's own functions are a source too, and are found again by their file.
    return made, tuple(sorted(files | _files_of([module])))


def raised(error: BaseException, doing: str) -> ConversionError:
    """Say what a person's code raised, and the deepest line of it; where none is theirs, a library's."""
    _note_frameworks()
    traceback.print_exception(error)
    words = " ".join(str(error).split())[:_WORDS]
    frames = [one for one in traceback.extract_tb(error.__traceback__) if os.path.isfile(one.filename)]
    known = [one for one in frames if _counts(one.filename)]
    own = [one for one in known if not _package(one.filename)]
    place = "".join(f", at {one.filename}, line {one.lineno}" for one in (own or known)[-1:])
    return ConversionError(RAISED, f"{doing} raised {type(error).__name__}: {words or 'no message'}{place}")


def note(path: str | os.PathLike[str]) -> None:
    """Count a file to what a function is made of, while one is called."""
    if _watching:
        _opened.add(os.path.abspath(path))


def _called(name: str, function: Any) -> Any:
    if not callable(function):
        raise ConversionError(FAILED, f"{name} is no function: it is a {type(function).__name__}")
    _require_no_arguments(name, function)
    try:
        return function()
    except (Exception, SystemExit) as error:
        raise raised(error, f"{name}()") from error


def _note_frameworks() -> None:
    if not _frameworks:
        _frameworks.update(map(_package, _files_of(sys.modules.values())))


@contextmanager
def _reading(files: set[str]) -> Iterator[None]:
    """Note which files count of those that are imported or opened meanwhile."""
    global _watching
    before = set(sys.modules)
    _opened.clear()
    sys.addaudithook(_heard)
    _watching = True
    try:
        yield
    finally:
        _watching = False
        modules = [module for name, module in list(sys.modules.items()) if name not in before]
        files.update(filter(_counts, _files_of(modules) | _opened))


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    # No hook can be taken back.
    if event == "open" and isinstance(arguments[0], str) and "r" in str(arguments[1] or "r"):
        note(arguments[0])


def _files_of(modules: Iterable[Any]) -> set[str]:
    # Anything may stand in sys.modules.
    names = (getattr(module, "__file__", None) for module in list(modules))
    return {name for name in names if isinstance(name, str)}


def _counts(name: str) -> bool:
    """Whether a file decides what the model is: Python's and the framework's go by their versions."""
    path = Path(name)
    if path.suffix == ".pyc" or not path.is_file():
        return False
    if any(path.is_relative_to(folder) for folder in (_OWN, *_KERNEL)):
        return False
    package = _package(name)
    if package:
        return package not in _frameworks
    return not path.is_relative_to(sysconfig.get_path("stdlib"))


def _package(name: str) -> str:
    """Return the folder or module among the installed packages that a file is of; empty for others."""
    path = Path(name)
    for folder in site.getsitepackages():
        if path.is_relative_to(folder):
            return path.relative_to(folder).parts[0]
    return ""


def _imported(place: str, converter: str) -> ModuleType:
    is_file = place.endswith(".py")
    # Modules beside the code are found, as where Python is called with it.
    sys.path.insert(0, str(Path(place).parent) if is_file else os.getcwd())
    yours = f"`tunefleet converters use {converter} --python PATH` has an interpreter of yours run it"
    try:
        if not is_file:
            return importlib.import_module(place)
        spec = importlib.util.spec_from_file_location(Path(place).stem, place)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if not is_file and (place == missing or place.startswith(f"{missing}.")):
            raise ConversionError(
                FAILED, f"there is no module {missing}, neither here nor for {sys.executable}", yours
            ) from None
        raise ConversionError(
            RAISED, raised(error, f"importing {Path(place).name}").message, yours
        ) from error
    except (Exception, SystemExit) as error:
        raise raised(error, f"importing {Path(place).name}") from error
    return module


def _require_no_arguments(name: str, function: Any) -> None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return
    needed = [
        one.name
        for one in parameters
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if needed:
        raise ConversionError(
            NEEDS_ARGUMENTS,
            f"{name} takes arguments ({', '.join(needed)}), and is called without any",
            "write a function that calls it with them and returns what it returns, and convert that: "
            "file.py:function",
        )
