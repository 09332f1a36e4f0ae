"""Where the packages of engines lie. Found by their path: an engine is imported by :func:`load` alone.

An engine is a package with a module attribute ``ENGINE``, a :class:`workers.enginekit.contract.Engine`. It is
one of those in ``workers/engines``; or it lies in a folder that the variable ``TUNEFLEET_ENGINE_PATH`` names
(several are separated as in ``PATH``); or it is installed with an entry point of the group
``tunefleet.engines``::

    [project.entry-points."tunefleet.engines"]
    toy = "tunefleet_toy"
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.enginekit.contract import Engine

__all__ = ["GROUP", "OWN", "VARIABLE", "EnginePackage", "find_package", "load", "names"]

#: The variable that names folders of engines, and the group of entry points.
VARIABLE, GROUP = "TUNEFLEET_ENGINE_PATH", "tunefleet.engines"
#: Where tunefleet's own engines lie.
OWN = Path(__file__).resolve().parents[1] / "engines"


@dataclass(frozen=True)
class EnginePackage:
    """The package of an engine.

    Attributes
    ----------
    name : str
        The engine's.
    module : str
        The name that the package is imported under.
    folder : pathlib.Path
    own : bool
        It comes with tunefleet, and any interpreter finds it by its name.
    """

    name: str
    module: str
    folder: Path
    own: bool = False

    @property
    def requirements(self) -> Path:
        """What its environment holds; the file is missing where it runs in tunefleet's own."""
        return self.folder / "requirements.txt"


def find_package(name: str) -> EnginePackage | None:
    """Return the package of the engine of that name, where there is one."""
    return next((package for package in _packages() if package.name == name), None)


def names() -> list[str]:
    """Return the names of the engines that are here; imports none of them."""
    return sorted({package.name for package in _packages()})


def load(name: str, folder: str | None = None) -> Engine:
    """Import an engine, in its own process.

    Parameters
    ----------
    name : str
        Of one of tunefleet's own, or the full name of a module.
    folder : str, optional
        Where the package of that name lies, if it isn't found by it.

    Raises
    ------
    ModuleNotFoundError
        Where there is no such engine, or what it needs isn't installed in this environment.
    """
    module = name if folder is not None or "." in name else f"workers.engines.{name}"
    if folder is not None:
        path = Path(folder) / "__init__.py"
        spec = importlib.util.spec_from_file_location(module, path, submodule_search_locations=[folder])
        if spec is None or spec.loader is None or not path.is_file():
            raise ModuleNotFoundError(f"No module named {module!r} in {folder}")
        sys.modules[module] = package = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(package)
    engine: Engine = importlib.import_module(module).ENGINE
    return engine


def _packages() -> Iterator[EnginePackage]:
    """Yield the packages, tunefleet's own first: none can be replaced by one of the same name."""
    named = [folder for folder in os.environ.get(VARIABLE, "").split(os.pathsep) if folder]
    for folder in [OWN, *(Path(text).expanduser().absolute() for text in named)]:
        for path in sorted(folder.glob("*/__init__.py")):
            name = path.parent.name
            yield EnginePackage(name, f"workers.engines.{name}", path.parent, folder == OWN)
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            spec = importlib.util.find_spec(entry.value)
        except ImportError:  # of what was meant to hold it
            continue
        if spec is not None and spec.submodule_search_locations:
            yield EnginePackage(entry.name, entry.value, Path(spec.submodule_search_locations[0]))
