"""Weights beside a library, and when they have to be there."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from orchestrator.builds.params import read_params, require_weights_inside, write_params
from orchestrator.errors import UsageError
from tests.kit import cli_builders as build
from workers.enginekit import archives
from workers.messages import CompiledModel, PreparedModel


def with_weights(path: Path, size: int) -> PreparedModel:
    with path.open("wb") as file:
        file.truncate(size)  # holes
    model = build.prepared()
    return PreparedModel(model.sha256, "big", model.onnx, model.inputs, model.outputs, weights=str(path))


def test_weights_that_no_library_holds_are_refused_before_it_is_compiled(tmp_path: Path) -> None:
    require_weights_inside(build.prepared())
    require_weights_inside(with_weights(tmp_path / "weights", 2**30))
    with pytest.raises(UsageError, match=r"weights of big are 3\.0 GiB, .* --params big\.npz"):
        require_weights_inside(with_weights(tmp_path / "weights", 3 * 2**30))


def test_a_large_archive_is_a_file_until_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_IN_A_FILE", 16)
    model = with_weights(tmp_path / "weights", 8)
    values = {"p0": np.arange(8.0), "p1": np.ones((2, 2), np.float32)}
    data, file = archives.archived(values, model)
    assert data is None
    assert Path(file).parent == tmp_path
    compiled = CompiledModel(b"", data, (), (), file)
    opened = archives.opened(compiled)
    assert opened is not None
    with opened, np.load(opened) as archive:
        assert {name: archive[name].tolist() for name in archive.files} == {
            name: value.tolist() for name, value in values.items()
        }
    write_params(tmp_path / "model.npz", compiled)
    assert not Path(file).exists()
    assert read_params(tmp_path / "model.npz") == ((tmp_path / "model.npz").read_bytes(), "")


def test_a_small_archive_is_bytes(tmp_path: Path) -> None:
    data, file = archives.archived({"p0": np.arange(3)}, with_weights(tmp_path / "weights", 8))
    assert (data is not None, file) == (True, "")
    with np.load(io.BytesIO(data or b"")) as archive:
        assert archive["p0"].tolist() == [0, 1, 2]


def test_a_large_file_of_weights_is_named_and_a_missing_one_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "model.npz").open("wb") as file:
        file.truncate(2**30 + 1)
    assert read_params(tmp_path / "model.npz") == (None, str(tmp_path / "model.npz"))
    with pytest.raises(UsageError, match="there is no file"):
        read_params(tmp_path / "absent.npz")
