"""What a person named as a model: which framework's it is, told without running or importing any of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.conversion.foreign import why_foreign
from orchestrator.errors import ModelError, UsageError
from workers.converters import ConverterPackage, find_converter, packages
from workers.converters.contract import CODE, Kind
from workers.files import irregular

__all__ = ["Source", "find_source"]

_CODE = re.compile(r"(?P<where>.+?):(?P<function>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
# Field 1 (ir_version) as a varint: how exporters start every ONNX file.
_ONNX = b"\x08"
#: Whose functions are meant where a file's imports don't tell.
_USUAL = "torch"


@dataclass(frozen=True)
class Source:
    """A model as a framework has it.

    Attributes
    ----------
    text : str
        For the converter: an absolute path, ``package.module:function`` or ``/path/file.py:function``.
    name : str
        For people: a file's name, or the same with the file's name alone.
    stem : str
        For the ONNX file's name.
    kind : Kind
    package : ConverterPackage
    path : pathlib.Path or None
        The file or folder; None for a function of a module.
    """

    text: str
    name: str
    stem: str
    kind: Kind
    package: ConverterPackage
    path: Path | None

    @property
    def is_code(self) -> bool:
        """Whether it is a function."""
        return self.kind.name == CODE

    def require_trust(self, trust: bool) -> None:
        """Refuse what runs its author's code, unless that was said to be trusted.

        Raises
        ------
        UsageError
        """
        if self.kind.trust and not trust:
            raise UsageError(f"{self.name}: {self.kind.trust}; add --trust where you trust whoever wrote it")


def find_source(text: str, framework: str | None = None) -> Source | None:
    """Find out what a model argument is; None for an ONNX file, and for what isn't there.

    Parameters
    ----------
    framework : str, optional
        The converter that is meant, by its name.

    Raises
    ------
    UsageError
        There is no such converter, or it takes no functions.
    ModelError
        The file is of a kind that can't be converted; the text says what it is.
    """
    if framework is not None and find_converter(framework) is None:
        there = ", ".join(package.name for package in packages())
        raise UsageError(f"there is no converter {framework!r}; there are: {there}")
    asked = [package for package in packages() if framework in (None, package.name)]
    path = Path(text)
    # Which knows no name that is too long to be one, and says nothing of it.
    if not os.path.exists(path):
        return _function(text, asked)
    known = path.stat()
    # Without a byte by its size, as what the kernel tells is: to read that may wait for ever.
    if not path.is_dir() and (irregular(known.st_mode) or known.st_size == 0 or _is_onnx(path)):
        return None
    # A link's own name: hubs keep links to files that are called by their hash.
    whole = os.path.abspath(path)
    for package in asked:
        converter = package.load()
        name = converter.recognises(whole)
        if name is not None:
            kind = converter.kind(name)
            if kind.refused:
                raise ModelError(f"{text} {kind.refused}")
            return Source(whole, Path(whole).name, Path(whole).stem, kind, package, path)
    if framework is not None:
        takes = "; ".join(kind.source for kind in asked[0].load().kinds if not kind.refused)
        raise ModelError(f"{text} is nothing that the {framework} converter takes: {takes}")
    foreign = why_foreign(path)
    if foreign:
        raise ModelError(f"{text} {foreign}")
    return None


def _is_onnx(path: Path) -> bool:
    """Tell an ONNX file, or what is to be refused as one, by its name and by how exporters begin."""
    if path.suffix == ".onnx":
        return True
    if path.name == "saved_model.pb":
        # TensorFlow's message begins with a number as well.
        return False
    try:
        with path.open("rb") as file:
            return file.read(1) in (_ONNX, b"")
    except OSError:
        return True


def _function(text: str, asked: Iterable[ConverterPackage]) -> Source | None:
    found = _CODE.fullmatch(text)
    if found is None:
        return None
    where, function = found["where"], found["function"]
    is_file = where.endswith(".py")
    if not is_file and not _MODULE.fullmatch(where):
        return None
    if is_file and not Path(where).is_file():
        raise ModelError(f"there is no file {where}")
    taking = {package.name: package for package in asked if package.load().takes_code}
    if not taking:
        raise UsageError(f"{text} looks like a function, and no such converter takes one")
    known = {one: name for name, package in taking.items() for one in (name, *package.load().imports)}
    name = _imported(where, known) if is_file else _framework_of(where, known)
    package = taking.get(name or _USUAL) or next(iter(taking.values()))
    path = Path(where) if is_file else None
    shown = f"{path.name}:{function}" if path else text
    named = f"{os.path.abspath(where)}:{function}" if path else text
    stem = function.rpartition(".")[2]
    return Source(named, shown, stem, package.load().kind(CODE), package, path)


def _framework_of(module: str, known: Mapping[str, str]) -> str | None:
    """Return the framework of a module: its own, or what it imports where it lies in this folder."""
    own = known.get(module.partition(".")[0])
    path = Path(*module.split(".")).with_suffix(".py")
    return own or (_imported(str(path), known) if path.is_file() else None)


def _imported(file: str, known: Mapping[str, str]) -> str | None:
    """Return the converter of the first framework that a Python file imports."""
    words = Path(file).read_text("utf-8", "replace")
    for found in re.finditer(r"^\s*(?:import|from)\s+(\w+)", words, re.MULTILINE):
        if found[1] in known:
            return known[found[1]]
    return None
