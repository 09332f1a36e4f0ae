"""A function of the user's, found, called, and what it was made of."""

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

import torch

from workers.converters.contract import (
    FAILED,
    NEEDS_ARGUMENTS,
    RAISED,
    ConversionError,
)

__all__ = ["called", "raised", "reading"]

_YOURS = "`tunefleet converters use torch --python PATH` has an interpreter of yours run it"
_WORDS = 500
_FEW = 6
_FRAMEWORK = Path(torch.__file__).parent
_ROOTS = (_FRAMEWORK, Path(__file__).resolve().parents[3])
_opened: set[str] = set()
_watching = False


def called(source: str) -> Any:
    """Return what a function returns, or a module that has such a name.

    Parameters
    ----------
    source : str
        ``package.module:function`` or ``/path/file.py:function``.

    Raises
    ------
    ConversionError
    """
    where, _, name = source.rpartition(":")
    module = _imported(where)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            there = [one for one, value in vars(module).items() if callable(value) and one[0] != "_"]
            listed = f"; it has {', '.join(there[:_FEW])}" if there else ""
            raise ConversionError(FAILED, f"{where} has no {name}{listed}")
        found = getattr(found, part)
    if isinstance(found, torch.nn.Module):
        return found
    if not callable(found):
        raise ConversionError(FAILED, f"{name} is no function: it is a {type(found).__name__}")
    _require_no_arguments(name, found)
    try:
        return found()
    except Exception as error:
        raise raised(error, f"{name}()") from error


def raised(error: BaseException, doing: str) -> ConversionError:
    """Say what the user's code raised, and where in it."""
    traceback.print_exception(error)
    words = " ".join(str(error).split())[:_WORDS]
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if not any(Path(frame.filename).is_relative_to(root) for root in _ROOTS) and os.path.isfile(
            frame.filename
        ):
            place = f", at {frame.filename}, line {frame.lineno}"
    return ConversionError(RAISED, f"{doing} raised {type(error).__name__}: {words or 'no message'}{place}")


@contextmanager
def reading(files: list[str]) -> Iterator[None]:
    """Note which files the user's code is made of: modules imported meanwhile, and whatever it opened."""
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
        files.extend(sorted(filter(_counts, found)))


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    # No hook can be taken back.
    if _watching and event == "open" and isinstance(arguments[0], str):
        mode = arguments[1]
        if mode is None or "r" in str(mode):
            _opened.add(os.path.abspath(arguments[0]))


def _counts(name: str) -> bool:
    """Whether a file decides what the model is: the framework's and Python's go by their version."""
    path = Path(name)
    if not name or path.suffix == ".pyc" or not path.is_file():
        return False
    if any(path.is_relative_to(root) for root in (*_ROOTS, *map(Path, ("/proc", "/sys", "/dev")))):
        return False
    in_site = any(path.is_relative_to(folder) for folder in site.getsitepackages())
    return in_site or not path.is_relative_to(sysconfig.get_path("stdlib"))


def _imported(where: str) -> ModuleType:
    is_file = where.endswith(".py")
    # Modules beside the code are found, as where Python is called with it.
    sys.path.insert(0, str(Path(where).parent) if is_file else os.getcwd())
    try:
        if not is_file:
            return importlib.import_module(where)
        name = Path(where).stem
        spec = importlib.util.spec_from_file_location(name, where)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if not is_file and (where == missing or where.startswith(f"{missing}.")):
            raise ConversionError(
                FAILED, f"there is no module {missing}, neither here nor for {sys.executable}", _YOURS
            ) from None
        problem = raised(error, f"importing {Path(where).name}")
        raise ConversionError(RAISED, problem.message, _YOURS) from error
    except (Exception, SystemExit) as error:
        raise raised(error, f"importing {Path(where).name}") from error
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
