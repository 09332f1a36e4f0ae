"""The arrays that a library takes and returns: read from numpy's files, checked, written, described."""

from __future__ import annotations

import io
import json
import os
import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.builds.label import Label
from orchestrator.errors import UsageError
from workers.messages import TensorSpec

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["OutputFacts", "archive_of", "bytes_of", "facts_of", "given_inputs", "listed"]


@dataclass(frozen=True)
class OutputFacts:
    """One output in short; `least`, `mean` and `largest` are None where it is empty or not of numbers."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    least: float | None
    mean: float | None
    largest: float | None


def given_inputs(
    label: Label, files: Mapping[str, str | os.PathLike[str]], archive: str | os.PathLike[str] | None
) -> dict[str, Array]:
    """Read the inputs that were given in files, and compare them with what the library takes.

    Raises
    ------
    UsageError
        A file can't be read, an input is given twice, or its name, shape or type is not the library's.
    """
    specs = {spec.name: spec for spec in label.all_inputs}
    found: dict[str, Array] = {}
    if archive is not None:
        found.update(_loaded(archive))
    for name, file in files.items():
        if name in found:
            raise UsageError(f"input {name} is given twice: in {archive} and in {file}")
        found[name] = _loaded(file)
    for name, value in found.items():
        spec = specs.get(name)
        if spec is None:
            raise UsageError(f"the library has no input {name!r}; it takes {listed(label.all_inputs)}")
        if not hasattr(value, "dtype"):
            raise UsageError(f"input {name} is an archive (.npz); name a file of one array (.npy)")
        if (value.shape, str(value.dtype)) != (spec.shape, spec.dtype):
            # Never cast or reshaped: what is run is to be what was given.
            raise UsageError(
                f"input {name} has shape {list(value.shape)} and type {value.dtype}; the library takes "
                f"{list(spec.shape)} of {spec.dtype}"
            )
    return found


def bytes_of(file: str | os.PathLike[str]) -> bytes:
    """Read a file whole; :class:`UsageError` where that can't be done."""
    try:
        return pathlib.Path(file).read_bytes()
    except FileNotFoundError:
        raise UsageError(f"there is no file {file}") from None
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from None


def archive_of(outputs: Mapping[str, Array]) -> bytes:
    """Return arrays as numpy's archive (``.npz``), under their names.

    Words are kept as numpy's text, and maps, as ZipMap makes them, as one JSON text each.
    """
    import numpy as np

    buffer = io.BytesIO()
    # numpy.savez takes names as keywords, and a model may call an output "file".
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, value in outputs.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, _plain(np.asanyarray(value)), allow_pickle=False)
    return buffer.getvalue()


def _plain(value: Array) -> Array:
    if value.dtype.kind != "O":
        return value
    import numpy as np

    texts = [one if isinstance(one, str) else json.dumps(one, default=float) for one in value.ravel()]
    return np.asarray(texts, str).reshape(value.shape)


def facts_of(name: str, value: Array) -> OutputFacts:
    """Describe an output."""
    import numpy as np

    # Maps, as ZipMap makes them, come as a list.
    value = np.asanyarray(value)
    least = mean = largest = None
    if value.size and value.dtype.kind in "biuf":
        wide = value.astype(np.float64)
        least, mean, largest = float(wide.min()), float(wide.mean()), float(wide.max())
    return OutputFacts(name, tuple(value.shape), str(value.dtype), least, mean, largest)


def listed(specs: Sequence[TensorSpec]) -> str:
    """List tensors for people: names, shapes, types."""
    return ", ".join(f"{s.name} {list(s.shape)} of {s.dtype}" for s in specs) or "nothing"


def _loaded(file: str | os.PathLike[str]) -> Any:
    """Read an array, or the arrays of an archive by name."""
    import numpy as np

    try:
        with open(file, "rb") as opened:
            found = np.load(opened, allow_pickle=False)
            return dict(found) if hasattr(found, "files") else found
    except FileNotFoundError:
        raise UsageError(f"there is no file {file}") from None
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror or error}") from None
    except (ValueError, EOFError):
        raise UsageError(f"{file} holds no numpy array (.npy, .npz)") from None
