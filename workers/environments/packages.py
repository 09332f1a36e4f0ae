"""Where the packages of engines lie. They are found by their path: nothing of an engine is imported here.

An engine is a package with a module attribute ``ENGINE``, a :class:`workers.enginekit.contract.Engine`. It is
one of those in ``workers/engines``; or it lies in a folder that the variable ``TUNEFLEET_ENGINE_PATH`` names
(several are separated as in ``PATH``); or it is installed with an entry point of the group
``tunefleet.engines``::

    [project.entry-points."tunefleet.engines"]
    toy = "tunefleet_toy"
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GROUP", "OWN", "VARIABLE", "EnginePackage", "find_package", "names"]

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
