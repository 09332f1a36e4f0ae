"""What follows a cut lies beside the library, and is run after it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import orchestrator as tf
from orchestrator.builds.arrays import archive_of
from orchestrator.errors import UsageError
from orchestrator.models.request import ModelRequest
from orchestrator.storage import Storage
from tests.kit.detectors import save_detector

EXAMPLE = Path(__file__).parents[2] / "examples" / "run_library.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("detector")


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[Storage]:
    with Storage.open(f"sqlite:///{folder / 'records.db'}") as opened:
        yield opened


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    return save_detector(folder / "det.onnx")


@pytest.fixture(scope="module")
def built(store: Storage, tools: tf.Toolbox, model: Path) -> tf.BuildReport:
    return tf.build_model(store, tools, ModelRequest(path=str(model)), model.with_suffix(".so"))


@pytest.fixture(scope="module")
def given(folder: Path, model: Path) -> tuple[Path, dict[str, Any]]:
    """Values, and what onnxruntime makes of them with the whole model."""
    values: dict[str, Any] = {"x": np.random.default_rng(8).normal(size=(1, 3, 8, 8)).astype(np.float32)}
    np.savez(folder / "given.npz", **values)
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return folder / "given.npz", dict(zip(names, session.run(None, values), strict=True))


def test_a_library_and_its_rest_give_what_the_whole_model_gives(
    tools: tf.Toolbox, built: tf.BuildReport, model: Path, given: tuple[Path, dict[str, Any]]
) -> None:
    assert built.rest == model.with_name("det.rest.onnx")
    assert built.rest_times is not None
    assert 0 < built.rest_times.share < 1
    saved = model.with_name("out.npz")
    report = tf.run_library(tools, built.library, archive=given[0], output=saved, check=model, repeats=2)
    assert report.check is not None
    assert report.check.agree, report.check.reason
    assert report.check.same_model
    assert report.rest_median_s is not None
    assert [one.name for one in report.outputs] == list(given[1])
    with np.load(saved) as found:
        for name, want in given[1].items():
            assert found[name].shape == want.shape
            np.testing.assert_allclose(found[name], want, rtol=1e-4, atol=1e-5)


def test_the_example_runs_both(
    built: tf.BuildReport, model: Path, given: tuple[Path, dict[str, Any]]
) -> None:
    values = model.with_name("x.npy")
    with np.load(given[0]) as archive:
        np.save(values, archive["x"])
    saved = model.with_name("example.npz")
    command = [
        sys.executable,
        str(EXAMPLE),
        str(built.library),
        "--input",
        f"x={values}",
        "--save",
        str(saved),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "output 0: shape [10, 4]" in done.stdout
    with np.load(saved) as found:
        for place, want in enumerate(given[1].values()):
            np.testing.assert_allclose(found[f"arr_{place}"], want, rtol=1e-4, atol=1e-5)


def test_a_comparison_says_what_lies_behind_the_cut(
    store: Storage, tools: tf.Toolbox, built: tf.BuildReport, model: Path
) -> None:
    report = tf.bench_model(store, tools, ModelRequest(path=str(model)), rounds=1)
    assert report.outputs_agree, report.disagreement
    assert report.rest_s is not None
    assert report.rest_s > 0
    assert built.rest_times is not None


@pytest.mark.parametrize(
    ("change", "reason"),
    [("lost", "there is none beside it: copy both"), ("other", "is another than det.so")],
)
def test_a_rest_that_is_not_the_librarys_is_refused(
    tools: tf.Toolbox, built: tf.BuildReport, tmp_path: Path, change: str, reason: str
) -> None:
    library = tmp_path / "det.so"
    library.write_bytes(built.library.read_bytes())
    if change == "other":
        (tmp_path / "det.rest.onnx").write_bytes(b"another")
    with pytest.raises(UsageError, match=reason):
        tf.run_library(tools, library, repeats=0)


def test_a_library_that_lies_nowhere_has_no_place_for_its_rest(
    store: Storage, tools: tf.Toolbox, model: Path
) -> None:
    with pytest.raises(UsageError, match="what follows it goes into a file beside it; name a file"):
        tf.build_model(store, tools, ModelRequest(path=str(model)), "/dev/null")
    assert not Path("/dev/null.rest.onnx").exists()


def test_words_and_maps_are_kept_as_text() -> None:
    words = np.asarray(["a", "bc"], object)
    maps = np.asarray([{"a": np.float32(0.25), "b": np.float32(0.75)}], object)
    with np.load(io.BytesIO(archive_of({"words": words, "maps": maps})), allow_pickle=False) as found:
        assert found["words"].tolist() == ["a", "bc"]
        assert [json.loads(text) for text in found["maps"].tolist()] == [{"a": 0.25, "b": 0.75}]
