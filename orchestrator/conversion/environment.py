"""The environment of a converter, made, chosen and found as those of engines are."""

from __future__ import annotations

import re
from pathlib import Path

from workers.converters import ConverterPackage
from workers.environments import Resident, data_folder

__all__ = ["converter_folder", "resident_of"]

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==", re.MULTILINE)


def converter_folder() -> Path:
    """Where environments are: where ``TUNEFLEET_CONVERTERS`` says, or in the user's data folder."""
    return data_folder("TUNEFLEET_CONVERTERS", "converters")


def resident_of(package: ConverterPackage) -> Resident:
    """Describe a converter as what has an environment of its own; where it pins nothing, it has none."""
    converter = package.load()
    there = package.requirements.is_file()
    pins = _PIN.findall(package.requirements.read_text("utf-8")) if there else []
    return Resident(
        name=package.name,
        title=f"the {converter.title} converter",
        commands="converters",
        variable=f"TUNEFLEET_CONVERTER_{package.name.upper()}_PYTHON",
        home=converter_folder(),
        requirements=package.requirements if there else None,
        told={name: name for name in pins},
        yours=converter.title,
    )
