"""Samples of a model's inputs, as a person has them in files of numpy."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.errors import UsageError
from workers.messages import TensorSpec
from workers.models._shapes import shape_text

__all__ = ["Samples", "how_to_write", "read_samples"]

_Array = npt.NDArray[Any]
_KINDS = {"f": "floats", "i": "integers", "u": "integers", "b": "booleans"}


class Samples:
    """Values for every input, one sample after the other.

    Parameters
    ----------
    values : mapping of str to ndarray
        Of each input, with an axis of samples before its own.
    """

    def __init__(self, values: Mapping[str, _Array]) -> None:
        self._values = dict(values)

    def __len__(self) -> int:
        return len(next(iter(self._values.values())))

    def __getitem__(self, place: int) -> dict[str, _Array]:
        return {name: np.ascontiguousarray(value[place]) for name, value in self._values.items()}

    def some(self, places: Sequence[int]) -> list[dict[str, _Array]]:
        """Return those that stand at these places."""
        return [self[place] for place in places]


def how_to_write(inputs: Sequence[TensorSpec]) -> str:
    """Say what samples have to be like, and how a file of them is written."""
    listed = ", ".join(f"'{one.name}' {shape_text(one.shape)} {one.dtype}" for one in inputs)
    arrays = ", ".join(
        f'"{one.name}": x{place}' if len(inputs) > 1 else f'"{one.name}": x'
        for place, one in enumerate(inputs)
    )
    shape = ", ".join(["N", *map(str, inputs[0].shape)]) + ("," if not inputs[0].shape else "")
    return (
        f"its inputs are {listed}; with numpy: np.savez('data.npz', **{{{arrays}}}), "
        f"each array N samples of that input, such as ({shape})"
    )


def read_samples(path: Path, inputs: Sequence[TensorSpec]) -> Samples:
    """Read the samples of a .npz or .npy file, or of all those in a folder, in the order of their names.

    An array in a .npz file is called as its input; a .npy file is called so too, unless there is one input
    alone. Of an input's own shape it is one sample; with an axis more, or with several times the first size,
    it is several.

    Raises
    ------
    UsageError
        The text says what is wrong, where, and what would be right.
    """
    parts: dict[str, list[_Array]] = {one.name: [] for one in inputs}
    for file in _files(path, inputs):
        for name, array in _arrays(file, inputs):
            spec = next(one for one in inputs if one.name == name)
            parts[name].append(_samples(array, spec, f"{file}: '{name}'", inputs))
    missing = [name for name, found in parts.items() if not found]
    if missing:
        listed = ", ".join(f"'{name}'" for name in missing)
        raise UsageError(f"--calibration {path}: there is nothing for input {listed}; {how_to_write(inputs)}")
    values = {name: np.concatenate(found) if len(found) > 1 else found[0] for name, found in parts.items()}
    counts = {name: len(value) for name, value in values.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"'{name}' {count}" for name, count in counts.items())
        raise UsageError(
            f"--calibration {path}: inputs have different numbers of samples: {listed}; each sample is one "
            "entry of every input"
        )
    if not next(iter(counts.values())):
        raise UsageError(f"--calibration {path}: there are no samples in it; {how_to_write(inputs)}")
    return Samples(values)


def _files(path: Path, inputs: Sequence[TensorSpec]) -> list[Path]:
    if not path.exists():
        raise UsageError(f"--calibration {path}: there is no such file or folder; {how_to_write(inputs)}")
    if not path.is_dir():
        if path.suffix not in (".npz", ".npy"):
            raise UsageError(
                f"--calibration {path}: not a .npz or .npy file of numpy, nor a folder of them; "
                f"{how_to_write(inputs)}"
            )
        return [path]
    found = sorted(one for one in path.iterdir() if one.suffix in (".npz", ".npy"))
    if not found:
        raise UsageError(
            f"--calibration {path}: there is no .npz or .npy file in this folder; {how_to_write(inputs)}"
        )
    return found


def _arrays(file: Path, inputs: Sequence[TensorSpec]) -> Iterator[tuple[str, _Array]]:
    """Yield the arrays of a file, and whose they are."""
    try:
        loaded = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"--calibration {file}: numpy can't read it: {_words(error)}") from None
    names = [one.name for one in inputs]
    if isinstance(loaded, np.ndarray):
        name = names[0] if len(names) == 1 else file.stem
        _require_known(name, names, file, inputs)
        yield name, loaded
        return
    with loaded:
        for name in loaded.files:
            _require_known(name, names, file, inputs)
            try:
                array = loaded[name]
            except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
                raise UsageError(
                    f"--calibration {file}: numpy can't read '{name}': {_words(error)}"
                ) from None
            yield name, array


def _require_known(name: str, names: Sequence[str], file: Path, inputs: Sequence[TensorSpec]) -> None:
    if name not in names:
        raise UsageError(f"--calibration {file}: the model has no input '{name}'; {how_to_write(inputs)}")


def _samples(array: _Array, spec: TensorSpec, where: str, inputs: Sequence[TensorSpec]) -> _Array:
    """Return an array of an input's type, with an axis of samples before the input's own."""
    wanted = np.dtype(spec.dtype)
    have, want = _KINDS.get(array.dtype.kind), _KINDS.get(wanted.kind)
    if have != want:
        raise UsageError(
            f"--calibration {where} is of {array.dtype}, and the model takes {spec.dtype}: "
            f"make it what the model is fed, and .astype('{spec.dtype}')"
        )
    shaped = _in_samples(array, spec.shape)
    if shaped is None:
        raise UsageError(
            f"--calibration {where} is {shape_text(array.shape)}, which is no number of samples of "
            f"{shape_text(spec.shape)}; {how_to_write(inputs)}"
        )
    if array.dtype.kind == "f" and not np.isfinite(shaped).all():
        raise UsageError(f"--calibration {where} holds NaN or infinity; leave such samples out")
    with np.errstate(over="ignore"):
        typed = shaped.astype(wanted, copy=False)
    exact = np.array_equal(typed, shaped) if wanted.kind != "f" else bool(np.isfinite(typed).all())
    if not exact:
        raise UsageError(f"--calibration {where} holds numbers that {spec.dtype} has no place for")
    return typed


def _in_samples(array: _Array, shape: tuple[int, ...]) -> _Array | None:
    if array.shape[1:] == shape and array.ndim == len(shape) + 1:
        return array
    if array.ndim != len(shape) or array.shape[1:] != shape[1:]:
        return None
    if not shape:
        return array[None]
    return None if array.shape[0] % shape[0] else array.reshape(-1, *shape)


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
