"""What lies behind the cut of a model: written beside the library, and run after it in onnxruntime."""

from __future__ import annotations

import hashlib
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.builds.arrays import bytes_of
from orchestrator.builds.label import RestLabel
from orchestrator.errors import UsageError
from orchestrator.files import writable
from orchestrator.toolbox import Toolbox
from workers.messages import Array, PreparedModel, Rest

__all__ = ["RestTimes", "read_rest", "rest_label", "rest_path", "rest_seconds", "rest_times", "run_rest"]

_SUFFIX = ".rest.onnx"


@dataclass(frozen=True)
class RestTimes:
    """What the two parts of a model take in onnxruntime, in seconds of one inference.

    Attributes
    ----------
    before_s, rest_s : float
        Of the part that is tuned, and of the rest.
    """

    before_s: float
    rest_s: float

    @property
    def share(self) -> float:
        """Share of the whole that lies behind the cut."""
        return self.rest_s / (self.before_s + self.rest_s)


def rest_path(library: pathlib.Path, model: str) -> pathlib.Path:
    """Return where the rest of a library's model is to lie: ``model.rest.onnx`` beside ``model.so``.

    Raises
    ------
    UsageError
        It can't be written there, or the library goes where nothing lies beside it.
    """
    if library.exists() and not library.is_file():
        raise UsageError(
            f"{library} is no place for the library of a model that is cut: what follows it goes into a file "
            "beside it; name a file"
        )
    return writable(library.with_name(library.stem + _SUFFIX), read=[model])


def rest_label(rest: Rest, path: pathlib.Path) -> RestLabel:
    """Describe a rest in a library's label."""
    return RestLabel(path.name, hashlib.sha256(rest.onnx).hexdigest(), rest.inputs, rest.outputs, rest.cut_at)


def read_rest(library: pathlib.Path, label: RestLabel) -> bytes:
    """Read the rest that lies beside a library.

    Raises
    ------
    UsageError
        It isn't there, or is another than the library was built with.
    """
    path = library.parent / label.file
    if not path.exists():
        raise UsageError(
            f"{library.name} goes with {label.file}, which holds what follows it "
            f"({', '.join(label.cut_at)}); there is none beside it: copy both, or build it anew"
        )
    data = bytes_of(path)
    if hashlib.sha256(data).hexdigest() != label.sha256:
        raise UsageError(f"{path} is another than {library.name} was built with; copy both, or build it anew")
    return data


def run_rest(
    tools: Toolbox,
    onnx: bytes,
    label: RestLabel | Rest,
    values: Mapping[str, Array],
    threads: int,
    repeats: int,
) -> tuple[dict[str, Array], tuple[float, ...]]:
    """Run the rest after a library.

    Parameters
    ----------
    values : mapping of str to ndarray
        The whole model's inputs, and what the library returned.

    Returns
    -------
    tuple of (dict, tuple of float)
        The whole model's outputs, by name, and the rest's times.
    """
    run = tools.run_rest(onnx, {spec.name: values[spec.name] for spec in label.inputs}, threads, repeats)
    made = iter(run.outputs)
    return {name: values[name] if name in values else next(made) for name in label.outputs}, run.times


def rest_seconds(
    tools: Toolbox,
    model: PreparedModel,
    inputs: Mapping[str, Array],
    outputs: Sequence[Array],
    threads: int,
    seed: int = 1,
) -> float | None:
    """Time the rest of a model in onnxruntime, in seconds of one inference; None where it wasn't cut.

    Parameters
    ----------
    inputs, outputs
        Of the part before it.
    """
    rest = model.rest
    if rest is None:
        return None
    made = {spec.name: one for spec, one in zip(model.outputs, outputs, strict=True)}
    values = {**tools.random_inputs(rest.inputs, seed), **inputs, **made}
    return statistics.median(run_rest(tools, rest.onnx, rest, values, threads, 5)[1])


def rest_times(tools: Toolbox, model: PreparedModel, threads: int, seed: int = 1) -> RestTimes | None:
    """Time both parts of a model in onnxruntime; None where it wasn't cut."""
    if model.rest is None:
        return None
    inputs, outputs = tools.reference_outputs(model, seed, threads)
    rest_s = rest_seconds(tools, model, inputs, outputs, threads, seed)
    assert rest_s is not None
    before = tools.reference_timing(model, inputs, threads, 5).times
    return RestTimes(statistics.median(before), rest_s)
