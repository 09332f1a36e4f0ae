"""An engine, imported: inside its own engine process and nowhere else."""

from __future__ import annotations

import importlib
import importlib.util
import pathlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.enginekit.contract import Engine

__all__ = ["load"]


def load(name: str, folder: str | None = None) -> Engine:
    """Import an engine.

    Parameters
    ----------
    name : str
        Of a package here, or the full name of a module.
    folder : str, optional
        Where the package of that name lies, if it isn't found by it.

    Raises
    ------
    ModuleNotFoundError
        Where there is no such engine, or what it needs isn't installed in this environment.
    """
    module = name if folder is not None or "." in name else f"workers.engines.{name}"
    if folder is not None:
        path = pathlib.Path(folder) / "__init__.py"
        spec = importlib.util.spec_from_file_location(module, path, submodule_search_locations=[folder])
        if spec is None or spec.loader is None or not path.is_file():
            raise ModuleNotFoundError(f"No module named {module!r} in {folder}")
        sys.modules[module] = package = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(package)
    engine: Engine = importlib.import_module(module).ENGINE
    return engine
