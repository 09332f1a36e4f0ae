"""What tunefleet makes of one file: built untuned as ``tunefleet build`` does it, run, and compared anew.

The comparison is another than the product's own: the exported file as it is, in onnxruntime, on other draws.
So a library that the product takes for right and isn't is found.
"""

from __future__ import annotations

import pathlib
import re
import tempfile
import time
from typing import Any

import numpy as np
import onnx

from benchmarks.coverage.outcomes import EXPORT_FAILED, RIGHT, WRONG, outcome_of
from benchmarks.coverage.serving import serve
from orchestrator import ModelRequest, Storage, Toolbox, build_model
from orchestrator.builds import read_label, run_library
from orchestrator.errors import UsageError
from workers.errors import ModelError
from workers.messages import TensorSpec
from workers.models import compare, judge, random_inputs, run_reference

__all__ = ["build"]

#: Others than those that the product draws itself.
SEEDS = (11, 12)
# As a part of a number: what float32 rounds.
_ROUNDING = 1e-7
#: What it says when a phase begins, and what the phase is called here.
_PHASES = (
    ("preparing", "prepare"),
    ("importing", "extract"),
    ("compiling", "compile"),
    ("checking", "check"),
)


class _Phases:
    """Seconds of what is said to be done, by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._phase, self._since = "prepare", time.monotonic()

    def __call__(self, text: str) -> None:
        """Begin the phase that the text is of; what is of none belongs to the one before."""
        self.begin(next((name for word, name in _PHASES if text.startswith(word)), self._phase))

    def begin(self, phase: str) -> None:
        now = time.monotonic()
        self.seconds[self._phase] = self.seconds.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now


def build(tools: Toolbox, question: dict[str, Any]) -> dict[str, Any]:
    """Build, run and compare; return what a result holds."""
    phases = _Phases()
    answer: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        try:
            answer.update(_built(tools, question, folder, phases))
        except Exception as error:  # all of them are results
            answer.update(outcome=outcome_of(error), message=f"{type(error).__name__}: {error}")
            fault = _fault(pathlib.Path(question["path"])) if isinstance(error, UsageError) else ""
            if fault:
                answer.update(outcome=EXPORT_FAILED, message=f"onnxruntime doesn't run it: {fault}")
    phases.begin("")
    answer["seconds"] = phases.seconds
    return answer


def _built(tools: Toolbox, question: dict[str, Any], folder: pathlib.Path, phases: _Phases) -> dict[str, Any]:
    shapes = {name: tuple(dims) for name, dims in question["shapes"].items()}
    request = ModelRequest(path=question["path"], shapes=shapes)
    library = folder / "model.so"
    with Storage.open(f"sqlite:///{folder / 'store.db'}") as store:
        report = build_model(store, tools, request, library, say=phases)
    tasks = report.coverage.tasks
    # Where the model was cut, what run_library returns are the outputs of both parts together.
    found: dict[str, Any] = {
        "tasks": len(tasks),
        "kernel_calls": sum(task.weight for task in tasks),
        "layout": _layout([task.name for task in tasks]),
        "changes": list(report.changes),
    }
    phases.begin("compare")
    label = read_label(library)
    original = _whole(pathlib.Path(question["path"]))
    names = [value.name for value in onnx.load(question["path"], load_external_data=False).graph.output]
    worst = 0.0
    for seed in SEEDS:
        drawn = random_inputs(label.all_inputs, seed)
        given, kept = folder / "inputs.npz", folder / "outputs.npz"
        np.savez(given, allow_pickle=False, **drawn)
        run_library(tools, library, archive=given, repeats=0, output=kept)
        with np.load(kept) as archive:
            outputs = [archive[name] for name in names]
        expected = run_reference(original, drawn, 1)
        verdict = judge(original, drawn, outputs, expected, names)
        worst = max(worst, verdict.max_rel)
        if not verdict.ok and label.rest is not None and _last_bit_decides(tools, request, drawn, names):
            found["note"] = "behind the cut a last bit decides; compared at the cut"
        elif not verdict.ok:
            message = f"output '{verdict.worst_name}' {verdict.reason}"
            return {**found, "outcome": WRONG, "message": message, "max_rel": worst}
    return {**found, "outcome": RIGHT, "message": "", "max_rel": worst}


def _last_bit_decides(tools: Toolbox, request: ModelRequest, drawn: dict[str, Any], names: list[str]) -> bool:
    """Say whether what follows a cut changes with the rounding of what it gets, all in onnxruntime.

    Of boxes with nearly equal scores, as random weights make them, any may be kept. What comes before the cut
    was compared when the library was built.
    """
    model = tools.prepare(request.path, request.shapes)
    assert model.rest is not None
    taken = {spec.name: drawn[spec.name] for spec in model.inputs}
    crossing = [spec.name for spec in model.outputs]
    exact = {**drawn, **dict(zip(crossing, run_reference(model.onnx, taken, 1), strict=True))}
    generator = np.random.default_rng(0)
    rounded = {
        name: (value * (1 + _ROUNDING * generator.standard_normal(value.shape))).astype(value.dtype)
        if name in crossing and value.dtype.kind == "f"
        else value
        for name, value in exact.items()
    }
    one, other = (
        run_reference(model.rest.onnx, {spec.name: values[spec.name] for spec in model.rest.inputs}, 1)
        for values in (exact, rounded)
    )
    made = [value.name for value in onnx.load_from_string(model.rest.onnx).graph.output]
    assert set(made) <= set(names)
    return not compare(other, one, names=made).ok


def _fault(path: pathlib.Path) -> str:
    """Say why onnxruntime doesn't run an export either; nothing where it does, or can't be asked."""
    model = onnx.load(path, load_external_data=False)
    stored = {tensor.name for tensor in model.graph.initializer}
    specs = []
    for value in model.graph.input:
        tensor = value.type.tensor_type
        if value.name in stored:
            continue
        if not tensor.elem_type or not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            return ""
        shape = tuple(int(dim.dim_value) for dim in tensor.shape.dim)
        specs.append(
            TensorSpec(value.name, shape, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name)
        )
    drawn = random_inputs(specs, SEEDS[0])
    try:
        run_reference(_whole(path), drawn, 1, optimize=False)
    except ModelError as error:
        return str(error)
    return ""


def _whole(path: pathlib.Path) -> bytes:
    """Return the model with its weights inside; a file as it is where they are in there."""
    if any(other != path for other in path.parent.glob(f"{path.name}.data")):
        data: bytes = onnx.load(path).SerializeToString()
        return data
    return path.read_bytes()


def _layout(kernels: list[str]) -> str:
    """Say in which layout most convolutions are, by the names of their kernels."""
    convolutions = [name.lower() for name in kernels if re.search(r"conv|pool|winograd", name.lower())]
    if not convolutions:
        return ""
    blocked = sum(bool(re.search(r"nc[dhw]*w\d*c", name)) for name in convolutions)
    last = sum("nhwc" in name or "nwc" in name or "ndhwc" in name for name in convolutions)
    return max((blocked, "blocked"), (last, "nhwc"), (len(convolutions) - blocked - last, "nchw"))[1]


if __name__ == "__main__":
    with Toolbox("metaschedule") as opened:
        serve(lambda question: build(opened, question))
