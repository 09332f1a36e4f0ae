"""Conversions that were done: the files by content, and which of them a source became."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import workers.converters
from orchestrator.conversion.source import Source
from orchestrator.files import digest_of_file
from workers.environments import EngineEnvironment, data_folder
from workers.messages import Origin

__all__ = [
    "Kept",
    "digest_of",
    "digest_of_files",
    "digests_of",
    "file_name",
    "find_entry",
    "find_kept",
    "keep",
    "keep_entry",
    "kept_folder",
    "key_of",
    "put_files",
]

_VERSION = 1
_DIGITS = 12
_SOURCES = "sources"
_NEW = ".new-"


def kept_folder() -> Path:
    """Where converted models are: where ``TUNEFLEET_CONVERTED`` says, or in the user's data folder."""
    return data_folder("TUNEFLEET_CONVERTED", "converted")


@dataclass(frozen=True)
class Kept:
    """What a source became.

    Attributes
    ----------
    model : str
        The ONNX file, in the folder of them all.
    origin : Origin
    checked : bool
        It was compared with the framework.
    max_rel : float or None
        How far it was off then, see :class:`workers.models.OutputDifference`.
    why : str
        Why this exporter's file was taken.
    notes : tuple of str
        What the converter said of what it did.
    inputs, outputs : tuple of dict
        As :class:`workers.converters.contract.Tensor` has them.
    files : dict of str to str
        What was read beside the source, and the hashes.
    versions : dict of str to str
        Of the converter's environment.
    """

    model: str
    origin: Origin
    checked: bool
    max_rel: float | None
    why: str
    notes: tuple[str, ...]
    inputs: tuple[dict[str, Any], ...]
    outputs: tuple[dict[str, Any], ...]
    files: dict[str, str]
    versions: dict[str, str]

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return kept_folder() / self.model


def key_of(
    source: Source, shapes: Mapping[str, Sequence[int]], seed: int, opset: int | None, exporter: str
) -> str:
    """Return what names a conversion: the source by its content, how it is asked for, and the converter."""
    own = source.package.folder
    asked = {
        "kind": source.kind.name,
        "converter": source.package.name,
        "code": digest_of_files(sorted([*own.rglob("*.py"), *_shared()]), own.parent),
        # What a function is made of is known once it was run.
        "source": [source.text, os.getcwd(), os.environ.get("PYTHONPATH", "")]
        if source.is_code
        else digest_of(Path(source.text)),
        "stem": source.stem,
        "shapes": {name: list(shape) for name, shape in sorted(shapes.items())},
        "seed": seed,
        "opset": opset,
        "exporter": exporter,
    }
    return key_of_values(asked)


def key_of_values(asked: Mapping[str, Any]) -> str:
    """Return what names an entry, by plain values."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def find_kept(source: Source, key: str, environment: EngineEnvironment, *, check: bool) -> Kept | None:
    """Return what a source became earlier, where that still holds; None where it has to be converted.

    A function holds as long as each file that it was read from is the same; what isn't known to have been
    read from any is run again.

    Parameters
    ----------
    environment : EngineEnvironment
        The converter's; where there is none any more, what it made with it counts.
    check : bool
        Only what was compared with its framework.
    """
    try:
        stored = find_entry(key)
        if stored is None:
            return None
        origin = Origin(**stored.pop("origin"))
        stored |= {name: tuple(stored[name]) for name in ("notes", "inputs", "outputs")}
        kept = Kept(origin=origin, **stored)
    except (ValueError, TypeError, KeyError):
        # Another release's, or damaged: it is written anew.
        return None
    if not kept.path.is_file() or (check and not kept.checked):
        return None
    if environment.ready and environment.versions != kept.versions:
        return None
    if source.is_code and not kept.files:
        return None
    return kept if digests_of(kept.files) == kept.files else None


def keep(key: str, kept: Kept) -> None:
    """Remember what a source became."""
    keep_entry(key, asdict(kept))


def keep_entry(key: str, entry: dict[str, Any]) -> None:
    """Remember what a conversion came to, as plain data."""
    path = _entry(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps({"version": _VERSION, **entry}, indent=1), "utf-8")
    fresh.replace(path)


def find_entry(key: str) -> dict[str, Any] | None:
    """Return what was remembered; None where nothing was, or by another release, or it is damaged."""
    try:
        stored: dict[str, Any] = json.loads(_entry(key).read_text("utf-8"))
        return stored if stored.pop("version") == _VERSION else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


@contextlib.contextmanager
def put_files(stem: str) -> Iterator[tuple[Path, list[Path]]]:
    """Yield a folder to write a model's files into, and a list that takes the place they are then put at.

    They get a folder that is named after their content, all at once.
    """
    home = kept_folder()
    home.mkdir(parents=True, exist_ok=True)
    _remove_left(home)
    fresh = home / f"{_NEW}{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    placed: list[Path] = []
    try:
        yield fresh, placed
        digest = digest_of_files(sorted(fresh.iterdir()), fresh)[:_DIGITS]
        place = home / f"{stem}-{digest}"
        # Where it is there already, it is the same.
        with contextlib.suppress(OSError):
            fresh.rename(place)
        placed.append(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def file_name(stem: str) -> str:
    """Make any stem one that a file can have."""
    return "".join(one if one.isalnum() or one in "._-" else "_" for one in stem).strip(".") or "model"


def digests_of(files: Iterable[str], below: Path = Path()) -> dict[str, str]:
    """Return the hashes of files that are there, of relative names in a folder."""
    found = {}
    for name in files:
        with contextlib.suppress(OSError):
            found[name] = digest_of(below / name)
    return found


def _entry(key: str) -> Path:
    return kept_folder() / _SOURCES / f"{key}.json"


def _shared() -> Iterator[Path]:
    return Path(workers.converters.__file__).parent.glob("*.py")


def digest_of(path: Path) -> str:
    """Return the hash of a file's content, or of all files in a folder and what they are called."""
    if path.is_dir():
        return digest_of_files(sorted(one for one in path.rglob("*") if one.is_file()), path)
    return digest_of_file(path)


def digest_of_files(files: Iterable[Path], below: Path) -> str:
    """Return the hash of the contents of files and of their places in a folder."""
    found = hashlib.sha256()
    for file in files:
        found.update(
            f"{os.path.relpath(file, below)}\n{digest_of(file)}\n".encode("utf-8", "surrogateescape")
        )
    return found.hexdigest()


def _remove_left(home: Path) -> None:
    """Remove what those left who were killed while they wrote."""
    for left in home.glob(f"{_NEW}*"):
        if not Path("/proc", left.name.removeprefix(_NEW)).exists():
            shutil.rmtree(left, ignore_errors=True)
