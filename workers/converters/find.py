"""Which converters there are: those of this folder, and of folders that a variable names."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.converters.contract import Converter

__all__ = ["CONVERTERS", "VARIABLE", "ConverterPackage", "find_converter", "packages"]

#: The variable that names folders of converters.
VARIABLE = "TUNEFLEET_CONVERTER_PATH"
_OWN = Path(__file__).resolve().parent


@dataclass(frozen=True)
class ConverterPackage:
    """The package of a converter.

    Attributes
    ----------
    name : str
    module : str
        The name that it is imported under.
    folder : pathlib.Path
    own : bool
        It comes with tunefleet, and any interpreter finds it by its name.
    """

    name: str
    module: str
    folder: Path
    own: bool

    @property
    def requirements(self) -> Path:
        """What its environment is made from."""
        return self.folder / "requirements.txt"

    def load(self) -> Converter:
        """Return what the package says of itself."""
        if self.own or self.module in sys.modules:
            module = importlib.import_module(self.module)
        else:
            spec = importlib.util.spec_from_file_location(
                self.module, self.folder / "__init__.py", submodule_search_locations=[str(self.folder)]
            )
            assert spec is not None
            assert spec.loader is not None
            sys.modules[self.module] = module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        converter: Converter = module.CONVERTER
        return converter


def packages() -> Iterator[ConverterPackage]:
    """Yield the packages, tunefleet's own first: none can be replaced by one of the same name."""
    named = [folder for folder in os.environ.get(VARIABLE, "").split(os.pathsep) if folder]
    for folder in [_OWN, *(Path(text).expanduser().absolute() for text in named)]:
        for path in sorted(folder.glob("*/__init__.py")):
            name, own = path.parent.name, folder == _OWN
            module = f"workers.converters.{name}" if own else f"tunefleet_converter_{name}"
            yield ConverterPackage(name, module, path.parent, own)


def find_converter(name: str) -> ConverterPackage | None:
    """Return the package of the converter of that name, where there is one."""
    return next((package for package in packages() if package.name == name), None)


class _Converters(Mapping[str, Converter]):
    """The converters by name, read when they are asked for: the variable may change."""

    def __getitem__(self, name: str) -> Converter:
        package = find_converter(name)
        if package is None:
            raise KeyError(name)
        return package.load()

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(package.name for package in packages()))

    def __len__(self) -> int:
        return len(list(iter(self)))


#: The converters that are here, by name.
CONVERTERS: Mapping[str, Converter] = _Converters()
