"""The engines: one package per tuner, each behind :class:`workers.enginekit.contract.Engine`.

An engine is imported inside its own engine process and nowhere else. Its package holds all that knows its
TVM; a new one is a new package here that has a module attribute ``ENGINE``.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.enginekit.contract import Engine

__all__ = ["load", "names"]


def names() -> list[str]:
    """Return the names of the engines in this distribution; imports none of them."""
    return [module.name for module in pkgutil.iter_modules(__path__) if module.ispkg]


def load(name: str) -> Engine:
    """Import an engine.

    Raises
    ------
    ModuleNotFoundError
        Where no engine has that name, or its TVM isn't installed in this environment.
    """
    engine: Engine = importlib.import_module(f"workers.engines.{name}").ENGINE
    return engine
