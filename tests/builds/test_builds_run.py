"""A built library run: labelled, on given inputs, held against onnxruntime."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from orchestrator.builds import build_model, read_label, run_library
from orchestrator.errors import UsageError
from orchestrator.models.request import ModelRequest
from orchestrator.storage import Storage
from orchestrator.toolbox import Toolbox
from tests.kit.tiny_models import save


@dataclass(frozen=True)
class Built:
    model: Path
    library: Path
    beside: Path
    params: Path
    inputs: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]


@pytest.fixture(scope="module")
def built(tools: Toolbox, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    model = save(folder / "tiny.onnx")
    request = ModelRequest(path=str(model))
    with Storage.open(f"sqlite:///{folder / 'records.db'}") as store:
        build_model(store, tools, request, folder / "lib.so")
        build_model(store, tools, request, folder / "beside.so", params=folder / "weights.npz")
    draw = np.random.default_rng(7)
    inputs = {
        spec.name: draw.standard_normal(spec.shape).astype(spec.dtype)
        for spec in read_label(folder / "lib.so").inputs
    }
    return Built(model, folder / "lib.so", folder / "beside.so", folder / "weights.npz", inputs)


def saved(inputs: dict[str, np.ndarray], folder: Path) -> dict[str, Path]:
    files = {}
    for number, (name, value) in enumerate(inputs.items()):
        files[name] = folder / f"input{number}.npy"
        np.save(files[name], value)
    return files


def test_a_library_says_what_it_is_and_any_unzip_reads_it(built: Built, tools: Toolbox) -> None:
    label = read_label(built.library)
    device = tools.resolve_target("auto")
    assert (label.model, label.engine, label.target) == ("tiny", "metaschedule", device.target)
    assert (label.tasks_tuned, label.params_beside) == (0, False)
    assert label.versions["tvm"]
    with zipfile.ZipFile(built.library) as archive:
        assert archive.namelist() == ["tunefleet.json"]


def test_a_labelled_library_loads_with_tvm_alone(built: Built) -> None:
    script = Path(__file__).parents[2] / "examples" / "run_library.py"
    shapes = [f"{name}:{','.join(map(str, v.shape))}:{v.dtype}" for name, v in built.inputs.items()]
    words = [part for shape in shapes for part in ("--random", shape)]
    done = subprocess.run(
        [sys.executable, str(script), str(built.library), *words], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "output 0: shape" in done.stdout


def test_a_run_on_given_inputs_agrees_with_onnxruntime_and_keeps_the_outputs(
    built: Built, tools: Toolbox, tmp_path: Path
) -> None:
    report = run_library(
        tools,
        built.library,
        inputs=saved(built.inputs, tmp_path),
        check=built.model,
        output=tmp_path / "outputs.npz",
        repeats=3,
    )
    assert report.check is not None
    assert report.check.agree
    assert report.check.same_model
    assert len(report.times_s) == 3
    assert report.median_s is not None
    assert 0 < report.median_s < 1
    with np.load(tmp_path / "outputs.npz") as archive:
        assert archive.files == [output.name for output in report.outputs]
        first = archive[archive.files[0]]
    assert report.outputs[0].largest == pytest.approx(float(first.max()))
    # The same inputs in one archive make the same outputs, and others make others.
    np.savez(tmp_path / "inputs.npz", **built.inputs)  # type: ignore[arg-type]
    again = run_library(tools, built.library, archive=tmp_path / "inputs.npz", repeats=0)
    assert again.outputs == report.outputs
    assert again.times_s == ()
    assert run_library(tools, built.library, seed=3, repeats=0).outputs != report.outputs


def test_weights_beside_a_library_are_wanted_and_used(built: Built, tools: Toolbox) -> None:
    with pytest.raises(UsageError, match="name it with --params"):
        run_library(tools, built.beside)
    with pytest.raises(UsageError, match="leave --params out"):
        run_library(tools, built.library, params=built.params)
    report = run_library(tools, built.beside, params=built.params, check=built.model, repeats=0)
    assert report.check is not None
    assert report.check.agree


def test_a_library_of_other_weights_is_found_out(built: Built, tools: Toolbox, tmp_path: Path) -> None:
    model = onnx.load(built.model)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(values * np.float32(1.5), tensor.name))
    onnx.save(model, tmp_path / "other.onnx")
    report = run_library(tools, built.library, check=tmp_path / "other.onnx", repeats=0)
    assert report.check is not None
    assert not report.check.agree
    assert not report.check.same_model
    assert "differs by" in report.check.reason


def test_inputs_that_do_not_fit_are_refused_with_what_is_taken(
    built: Built, tools: Toolbox, tmp_path: Path
) -> None:
    name = next(iter(built.inputs))
    whole = built.inputs[name]
    np.save(tmp_path / "double.npy", whole.astype(np.float64))
    np.save(tmp_path / "flat.npy", whole.ravel())
    np.savez(tmp_path / "archive.npz", x=whole)
    np.save(tmp_path / "good.npy", whole)
    (tmp_path / "text.npy").write_text("no array")
    for file, wanted, said in (
        ("double.npy", name, "type float64; the library takes"),
        ("flat.npy", name, "has shape"),
        ("archive.npz", name, "is an archive"),
        ("text.npy", name, "holds no numpy array"),
        ("nowhere.npy", name, "there is no file"),
        ("good.npy", "y_", f"no input 'y_'; it takes {name}"),
    ):
        with pytest.raises(UsageError, match=said):
            run_library(tools, built.library, inputs={wanted: tmp_path / file})


def test_what_is_no_library_of_a_build_is_refused(built: Built, tools: Toolbox, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no library"):
        run_library(tools, tmp_path / "nothing.so")
    stripped = tmp_path / "stripped.so"
    data = built.library.read_bytes()
    stripped.write_bytes(data[: data.index(b"PK\x03\x04")])
    with pytest.raises(UsageError, match="says nothing of itself"):
        run_library(tools, stripped)
    newer = io.BytesIO(stripped.read_bytes())
    with zipfile.ZipFile(newer, "a") as archive:
        archive.writestr("tunefleet.json", '{"version": 5}')
    stripped.write_bytes(newer.getvalue())
    with pytest.raises(UsageError, match="label of version 5; this tunefleet reads up to 4"):
        run_library(tools, stripped)
