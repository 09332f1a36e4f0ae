"""A person's function that returns a model: found, called, its errors told, and what it was made of.

Runs in a converter's own interpreter; the standard library alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import site
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from workers.converters.contract import FAILED, NEEDS_ARGUMENTS, RAISED, ConversionError

__all__ = ["call", "note"]

_WORDS = 500
_FEW = 6
_OWN = Path(__file__).resolve().parents[2]
_opened: set[str] = set()
_watching = False


def call(source: str, converter: str) -> tuple[Any, tuple[str, ...]]:
    """Import a function and call it without arguments.

    Parameters
    ----------
    source : str
        ``package.module:function`` or ``/absolute/file.py:function``.
    converter : str
        Whose environment this is.

    Returns
    -------
    made : object
        What it returned.
    files : tuple of str
        What it was made of: modules imported meanwhile, and whatever was opened for reading.

    Raises
    ------
    ConversionError
        `FAILED`: there is no such module or function. `NEEDS_ARGUMENTS`: it can't be called without.
        `RAISED`: it raised.
    """
    place, _, name = source.rpartition(":")
    files: list[str] = []
    with _reading(files):
        module = _imported(place, converter)
        found: Any = module
        for part in name.split("."):
            if not hasattr(found, part):
                there = [one for one, value in vars(module).items() if callable(value) and one[0] != "_"]
                listed = f"; it has {', '.join(there[:_FEW])}" if there else ""
                raise ConversionError(FAILED, f"{place} has no {name}{listed}")
            found = getattr(found, part)
        if not callable(found):
            raise ConversionError(FAILED, f"{name} is no function: it is a {type(found).__name__}")
        _require_no_arguments(name, found)
        try:
            made = found()
        except Exception as error:
            raise _raised(error, f"{name}()") from error
    return made, tuple(files)


def note(path: str | os.PathLike[str]) -> None:
    """Count a file to what a function is made of, while one is called."""
    if _watching:
        _opened.add(os.path.abspath(path))


def _raised(error: BaseException, doing: str) -> ConversionError:
    """Say what a person's code raised, and the deepest line of it outside of libraries."""
    traceback.print_exception(error)
    words = " ".join(str(error).split())[:_WORDS]
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if _is_theirs(Path(frame.filename)):
            place = f", at {frame.filename}, line {frame.lineno}"
    return ConversionError(RAISED, f"{doing} raised {type(error).__name__}: {words or 'no message'}{place}")


def _is_theirs(path: Path) -> bool:
    libraries = [*site.getsitepackages(), sysconfig.get_path("stdlib"), str(_OWN)]
    return path.is_file() and not any(path.is_relative_to(folder) for folder in libraries)


@contextmanager
def _reading(files: list[str]) -> Iterator[None]:
    global _watching
    before = set(sys.modules)
    sys.addaudithook(_heard)
    _watching = True
    try:
        yield
    finally:
        _watching = False
        modules = [module for name, module in list(sys.modules.items()) if name not in before]
        found = {getattr(module, "__file__", None) or "" for module in modules} | _opened
        files.extend(sorted(name for name in found if _counts(name)))


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    # No hook can be taken back.
    if event == "open" and isinstance(arguments[0], str) and "r" in str(arguments[1] or "r"):
        note(arguments[0])


def _counts(name: str) -> bool:
    """Whether a file decides what the model is: Python's and the libraries' go by their versions."""
    path = Path(name)
    if path.suffix == ".pyc" or any(path.is_relative_to(folder) for folder in ("/proc", "/sys", "/dev")):
        return False
    return _is_theirs(path)


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
            RAISED, _raised(error, f"importing {Path(place).name}").message, yours
        ) from error
    except (Exception, SystemExit) as error:
        raise _raised(error, f"importing {Path(place).name}") from error
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
