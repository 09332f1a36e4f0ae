"""What a model argument is told to be, before anything of it runs."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from orchestrator.conversion import find_source
from orchestrator.errors import ModelError, UsageError
from tests.kit.tiny_models import save
from tests.kit.toys import toy


def test_a_framework_s_file_is_known_by_its_content(tmp_path: Path) -> None:
    source = find_source(str(toy(tmp_path / "net.bin")))
    assert source is not None
    assert (source.kind.name, source.package.name) == ("Toy file", "toy")
    assert (source.name, source.stem, source.text) == ("net.bin", "net", str(tmp_path / "net.bin"))


def test_an_onnx_file_is_no_source_whatever_it_is_called(tmp_path: Path) -> None:
    assert find_source(str(save(tmp_path / "tiny.onnx"))) is None
    assert find_source(str(save(tmp_path / "tiny.model"))) is None
    assert find_source(str(tmp_path / "missing.onnx")) is None


def test_what_must_not_be_opened_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert find_source(str(tmp_path / "pipe")) is None


def test_functions_are_told_from_files(tmp_path: Path) -> None:
    (tmp_path / "zoo.py").write_text("import toy\n")
    source = find_source("zoo.py:net")
    assert source is not None
    assert source.is_code
    assert (source.name, source.stem, source.text) == ("zoo.py:net", "net", f"{tmp_path}/zoo.py:net")
    assert source.package.name == "toy"
    of_module = find_source("package.zoo:nets.small", "toy")
    assert of_module is not None
    assert (of_module.name, of_module.stem, of_module.path) == ("package.zoo:nets.small", "small", None)
    with pytest.raises(ModelError, match=r"there is no file gone\.py"):
        find_source("gone.py:net")
    assert find_source("C:/models/net") is None
    assert find_source("no function:net") is None


def test_functions_are_torch_s_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "zoo.py").write_text("from helpers import net\n")
    found = find_source("zoo.py:net")
    assert found is not None
    assert found.package.name == "torch"


def test_a_converter_that_is_named_is_taken_or_says_what_it_takes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no converter 'caffe'; there are: .*toy"):
        find_source("zoo:net", "caffe")
    path = tmp_path / "notes.txt"
    path.write_text("nothing")
    with pytest.raises(ModelError, match=r"nothing that the toy converter takes: a text that begins"):
        find_source(str(path), "toy")


def test_code_needs_trust_and_says_why(tmp_path: Path) -> None:
    source = find_source(str(toy(tmp_path / "net.bin", begins="toy pickle")))
    assert source is not None
    with pytest.raises(UsageError, match=r"net\.bin: a toy pickle runs code; add --trust where you trust"):
        source.require_trust(False)
    source.require_trust(True)


def test_weights_without_a_model_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"net\.bin holds weights without a model: add the model"):
        find_source(str(toy(tmp_path / "net.bin", begins="toy weights")))


def _safetensors(path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0\0\0")


def _tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "net.pt2")


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


@pytest.mark.parametrize(
    ("write", "what"),
    [
        (_safetensors, "is a safetensors file: it holds weights without a model"),
        (lambda path: np.savez(path.open("wb"), w=np.ones(2)), "is an archive of numpy arrays"),
        (lambda path: np.save(path.open("wb"), np.ones(2)), "is a numpy array"),
        (_zip, "is a ZIP archive of something that no converter here knows"),
        (lambda path: path.write_bytes(pickle.dumps({"a": 1})), "is a pickle of no estimator"),
        (lambda path: path.write_bytes(b"GGUF\3\0\0\0"), "is a GGUF file"),
        (
            lambda path: path.write_text('{"nodes": [{"op": "null"}]}'),
            "is an MXNet symbol",
        ),
        (lambda path: path.write_bytes(b"\x12\1" + b"\0" * 14), "is MXNet's parameters"),
        (lambda path: path.write_text('name: "a"\nlayer {\n}'), "is a Caffe network"),
        (lambda path: path.write_bytes(b"CBM1" + b"\0" * 8), "is a CatBoost model"),
        (lambda path: path.write_bytes(b"\x20\0\0\0ET12" + b"\0" * 8), "is an ExecuTorch program"),
        (lambda path: path.write_text('{"modelTopology": {}}'), r"is a TensorFlow\.js model"),
        (lambda path: path.write_bytes(gzip.compress(b"model")), r"is packed \(gzip\): unpack it"),
        (_tar, "is a tar archive: unpack it"),
    ],
)
def test_files_of_others_are_named(tmp_path: Path, write: Callable[[Path], object], what: str) -> None:
    path = tmp_path / "model.bin"
    write(path)
    with pytest.raises(ModelError, match=rf"model\.bin {what}"):
        find_source(str(path), None)


def test_code_and_folders_that_no_function_or_file_is_named_of_say_what_to_name(tmp_path: Path) -> None:
    zoo, folder = tmp_path / "zoo.py", tmp_path / "bert"
    zoo.write_text("import toy\n")
    with pytest.raises(ModelError, match=r"is Python: name the function .*zoo\.py:function"):
        find_source(str(zoo))
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert find_source(str(folder)) is None
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"from_pretrained\('bert'\)`, and convert file\.py:function"):
        find_source(str(folder))


@pytest.mark.parametrize(
    ("named", "framework"),
    [
        ("zoo.py:net", "keras"),
        ("zoo:net", "keras"),
        ("keras.applications:ResNet50", "keras"),
        ("torchvision.models:resnet18", "torch"),
        ("xgboost.zoo:net", "sklearn"),
        ("elsewhere.zoo:net", "torch"),
    ],
)
def test_what_is_imported_says_whose_function_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, framework: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zoo.py").write_text("import numpy\nimport tensorflow as tf\nimport torch\n")
    source = find_source(named)
    assert source is not None
    assert source.package.name == framework
