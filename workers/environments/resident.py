"""What may have an environment of its own: an engine, and whatever else describes itself so."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workers.environments.packages import find_package

__all__ = ["Resident", "data_folder", "of_engine"]

# Distributions by what they install: several install a module `tvm`.
_TOLD = {"apache-tvm": "tvm", "hhb-tvm": "tvm", "numpy": "numpy", "xgboost": "xgboost"}


@dataclass(frozen=True)
class Resident:
    """What runs in an environment of its own, or in this one.

    Attributes
    ----------
    name : str
    title : str
        What it is called in sentences: "the autotvm engine".
    commands : str
        The word of its commands: "engines".
    variable : str
        The environment variable that names its interpreter.
    home : pathlib.Path
        The folder of its environment and of those of its kind.
    requirements : pathlib.Path or None
        What its environment is made from; None where it takes none.
    told : mapping of str to str
        Distributions whose versions are told, by the names they are told under.
    yours : str
        What a person may have in an interpreter of their own: "TVM".
    """

    name: str
    title: str
    commands: str
    variable: str
    home: Path
    requirements: Path | None
    told: Mapping[str, str] = field(default_factory=lambda: _TOLD)
    yours: str = "TVM"

    @property
    def record(self) -> Path:
        """The file that names an interpreter of a person's own."""
        return self.home / f"{self.name}.python"

    @property
    def place(self) -> Path:
        """Where its environment is, once made."""
        return self.home / self.name

    def directive(self, name: str) -> str:
        """Return what a comment at the top of its requirements says; empty where none does."""
        text = "" if self.requirements is None else self.requirements.read_text("utf-8")
        found = re.search(rf"^# {name}: (.+)$", text, re.MULTILINE)
        return found.group(1).strip() if found else ""

    @property
    def pythons(self) -> list[str]:
        """The versions of Python that its pins are for, the preferred one first."""
        return self.directive("python").split()

    @property
    def python_text(self) -> str:
        """Name those versions."""
        return " or ".join(self.pythons)


def data_folder(variable: str, name: str) -> Path:
    """Return the folder that a variable names, or one of the user's data folder."""
    named = os.environ.get(variable)
    if named:
        return Path(named).expanduser().absolute()
    # Not at the top: an engine's own environment imports this package's modules, and has no platformdirs.
    from platformdirs import user_data_dir

    return Path(user_data_dir("tunefleet", appauthor=False)) / name


def of_engine(name: str) -> Resident | None:
    """Return what an engine is here; None for what runs on this process's Python whatever is installed."""
    package = None if "." in name else find_package(name)
    if package is None:
        return None
    requirements = package.requirements if package.requirements.is_file() else None
    variable = f"TUNEFLEET_{name.upper()}_PYTHON"
    home = data_folder("TUNEFLEET_ENGINES", "engines")
    return Resident(name, f"the {name} engine", "engines", variable, home, requirements)
