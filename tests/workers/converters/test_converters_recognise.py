"""Which converter takes a file, told by what lies in it and with no framework at hand."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from workers.converters import CONVERTERS

FILES = Path(__file__).parent / "files"


def kinds(path: Path) -> dict[str, str]:
    """Return the kinds that the converters take a path for."""
    found = {name: converter.recognises(str(path)) for name, converter in CONVERTERS.items()}
    return {name: kind for name, kind in found.items() if kind is not None}


@pytest.mark.parametrize(
    ("file", "converter", "kind"),
    [
        ("model.keras", "keras", "Keras 3 file"),
        ("function.keras", "keras", "Keras 3 file with Lambda layers"),
        ("model.h5", "keras", "Keras HDF5 file"),
        ("function.h5", "keras", "Keras HDF5 file with Lambda layers"),
        ("model.weights.h5", "keras", "Keras weights"),
        ("saved", "tensorflow", "SavedModel"),
        ("saved/saved_model.pb", "tensorflow", "SavedModel"),
        ("writing", "tensorflow", "SavedModel that touches files"),
        ("frozen.pb", "tensorflow", "frozen graph"),
        ("frozen.pbtxt", "tensorflow", "frozen graph"),
        ("model.tflite", "tensorflow", "TFLite file"),
        ("pipeline.joblib", "sklearn", "pickle"),
        ("packed.joblib", "sklearn", "pickle"),
        ("pipeline0.pkl", "sklearn", "pickle"),
        ("pipeline5.pkl", "sklearn", "pickle"),
        ("lightgbm.txt", "sklearn", "LightGBM text"),
        ("paddle3", "paddle", "Paddle inference model"),
        ("paddle3/inference.json", "paddle", "Paddle inference model"),
        ("paddle3/inference.pdiparams", "paddle", "Paddle inference model"),
        ("paddle2", "paddle", "Paddle inference model"),
        ("paddle2/inference.pdmodel", "paddle", "Paddle inference model"),
    ],
)
def test_a_file_is_one_converter_s_whatever_it_is_called(
    file: str, converter: str, kind: str, tmp_path: Path
) -> None:
    assert kinds(FILES / file) == {converter: kind}
    if (FILES / file).is_file() and converter != "paddle" and "saved_model" not in file:
        shutil.copy(FILES / file, tmp_path / "model.bin")
        assert kinds(tmp_path / "model.bin") == {converter: kind}


@pytest.mark.parametrize("name", ["model.json", "model.ubj"])
def test_xgboost_s_own_files_are_known_in_both_forms(tmp_path: Path, name: str) -> None:
    import xgboost  # here, for every process that runs tests collects this file

    rows = np.arange(8.0).reshape(4, 2)
    made = xgboost.train({}, xgboost.DMatrix(rows, rows[:, 0]), num_boost_round=1)
    made.save_model(tmp_path / name)
    assert kinds(tmp_path / name) == {"sklearn": "XGBoost JSON/UBJ"}
    made.dump_model(tmp_path / "dump.json", dump_format="json")
    assert kinds(tmp_path / "dump.json") == {"sklearn": "dump of a booster"}


def test_code_in_a_file_takes_trust_and_data_doesn_t() -> None:
    trusted = {
        (name, kind.name) for name, converter in CONVERTERS.items() for kind in converter.kinds if kind.trust
    }
    assert {
        ("keras", "Keras 3 file with Lambda layers"),
        ("keras", "Keras HDF5 file with Lambda layers"),
        ("tensorflow", "SavedModel that touches files"),
        ("sklearn", "pickle"),
    } <= trusted
    assert not {kind for _, kind in trusted} & {
        "Keras 3 file",
        "SavedModel",
        "frozen graph",
        "TFLite file",
        "LightGBM text",
        "XGBoost JSON/UBJ",
        "Paddle inference model",
    }


@pytest.mark.parametrize("name", ["keras", "tensorflow", "sklearn", "paddle"])
def test_all_that_is_recognised_is_a_kind_with_a_reason_where_it_is_refused(name: str) -> None:
    converter = CONVERTERS[name]
    assert converter.name == name
    assert len({kind.name for kind in converter.kinds}) == len(converter.kinds)
    for kind in converter.kinds:
        assert not (kind.refused and kind.trust)
        # It goes on after the file's name.
        assert not kind.refused or kind.refused.startswith(("is ", "holds "))


def test_weights_without_a_model_are_known_as_such(tmp_path: Path) -> None:
    for name in ("model.pdparams", "inference.pdiparams", "model.pdopt"):
        (tmp_path / name).write_bytes(b"\x80\x02}q\x00.")
        assert kinds(tmp_path / name)["paddle"] == "Paddle weights"
    for name in ("ckpt-1.index", "ckpt-1.data-00000-of-00001", "checkpoint"):
        (tmp_path / name).write_bytes(b"model_checkpoint_path")
    assert kinds(tmp_path)["tensorflow"] == "TensorFlow checkpoint"
    assert kinds(tmp_path / "ckpt-1.data-00000-of-00001") == {"tensorflow": "TensorFlow checkpoint"}


def test_a_cut_off_keras_file_is_known_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes((FILES / "model.keras").read_bytes()[:2000])
    assert kinds(tmp_path / "model.keras")["keras"] == "damaged Keras file"
    with zipfile.ZipFile(tmp_path / "part.zip", "w") as archive:
        archive.writestr("model.weights.h5", b"")
    assert kinds(tmp_path / "part.zip") == {"keras": "damaged Keras file"}


def test_pickles_are_told_apart_without_running_them(tmp_path: Path) -> None:
    place = tmp_path / "model.pkl"

    def kind(content: bytes) -> str | None:
        place.write_bytes(content)
        return CONVERTERS["sklearn"].recognises(str(place))

    assert kind(pickle.dumps({"weights": [1.0, 2.0]})) == "pickle of no estimator"
    assert kind(pickle.dumps(np.arange(3))) == "pickle of no estimator"
    assert kind(pickle.dumps(Path("x"))) == "pickle of no estimator"
    assert kind(b"\x80\x04\x8c\x0ftorch.nn.modules\x8c\x06Linear\x93.") == "pickle of PyTorch"
    assert kind(b"ccatboost.core\nCatBoost\n.") in (None, "pickle of CatBoost")
    # Were it loaded, there would be a file.
    bomb = b"cposix\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR."
    assert kind(bomb) is None
    assert kind(b"\x80\x04" + bomb) == "pickle of no estimator"
    assert not (tmp_path / "ran").exists()
    # PyTorch's own of old, which its converter knows.
    assert kind(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)) is None


@pytest.mark.parametrize("name", ["keras", "tensorflow", "sklearn", "paddle"])
def test_nothing_that_lies_at_a_path_raises(name: str, tmp_path: Path) -> None:
    recognises = CONVERTERS[name].recognises
    (tmp_path / "folder").mkdir()
    for place, content in {
        "empty": b"",
        "text": b"hello\n",
        "zip": b"PK\x03\x04",
        "zlib": b"x\x9cjunk",
    }.items():
        (tmp_path / place).write_bytes(content)
    for one in (*tmp_path.iterdir(), tmp_path / "gone"):
        assert recognises(str(one)) is None
    for whole in FILES.iterdir():
        if whole.is_file():
            for length in (1, 7, 60, 500):
                (tmp_path / whole.name).write_bytes(whole.read_bytes()[:length])
                recognises(str(tmp_path / whole.name))
