"""What prepare says of files that are no model it can use."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np
import onnx
import pytest
from onnx.external_data_helper import convert_model_to_external_data

from tests.kit.model_builders import Save, dense_model
from workers.errors import ModelError
from workers.models import prepare

SHAPES = {"x": (2, 8)}


def refusal(path: Path, shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> str:
    with pytest.raises(ModelError) as caught:
        prepare(path, shapes)
    text = str(caught.value)
    assert str(path) in text
    assert "Traceback" not in text
    assert "\n" not in text
    return text


@pytest.fixture
def external(tmp_path: Path) -> Path:
    """A model whose weights lie in a second file."""
    model = dense_model()
    convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    assert (tmp_path / "weights.bin").stat().st_size > 0
    return path


def point_at(path: Path, location: str) -> None:
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        next(entry for entry in tensor.external_data if entry.key == "location").value = location
    path.write_bytes(model.SerializeToString())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "absent.onnx")


def test_a_directory_is_not_a_model(tmp_path: Path) -> None:
    assert "directory" in refusal(tmp_path)


def test_an_unreadable_file_says_so(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(dense_model())

    # Taking the permission away would not stop root, as whom containers run tests.
    def refuse(self: Path, mode: str) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    assert "can't be read: Permission denied" in refusal(path)


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.touch()
    assert "empty" in refusal(path)


@pytest.mark.parametrize(
    "content", [b"hello, I am a text file\n", b"\x89PNG\r\n\x1a\n" + bytes(64), bytes(100), b"PK\x03\x04" * 9]
)
def test_another_kind_of_file_is_not_onnx(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert "not an ONNX model" in refusal(path)


def test_a_git_lfs_pointer_is_recognized(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert "git lfs pull" in refusal(path)


@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_model_is_refused(save: Save, part: float) -> None:
    path = save(dense_model())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    text = refusal(path)
    assert "cut off" in text or "only its first" in text


def test_an_invalid_model_is_refused_with_the_checkers_reason(save: Save) -> None:
    model = dense_model()
    model.graph.node[0].op_type = "Matmull"
    assert "Matmull" in refusal(save(model))


def test_a_model_without_operators_is_refused(save: Save) -> None:
    model = dense_model()
    del model.graph.node[:]
    assert "no operators" in refusal(save(model))


def test_weights_in_a_second_file_are_taken_in(external: Path) -> None:
    inside = prepare(external, SHAPES)
    (external.parent / "weights.bin").unlink()
    external.write_bytes(dense_model().SerializeToString())
    assert inside.onnx == prepare(external, SHAPES).onnx


def test_the_sha256_covers_the_file_and_then_its_data(external: Path) -> None:
    data = (external.parent / "weights.bin").read_bytes()
    expected = hashlib.sha256(external.read_bytes() + data).hexdigest()
    assert prepare(external, SHAPES).sha256 == expected


def test_a_missing_data_file_is_named(external: Path) -> None:
    (external.parent / "weights.bin").unlink()
    assert "'weights.bin' is missing" in refusal(external)


def test_a_cut_off_data_file_is_named(external: Path) -> None:
    data = external.parent / "weights.bin"
    data.write_bytes(data.read_bytes()[:20])
    text = refusal(external)
    assert "'weights.bin' is cut off" in text


def test_an_empty_data_file_is_named_with_what_should_be_in_it(external: Path) -> None:
    model = onnx.load(external, load_external_data=False)
    for one in model.graph.initializer:
        for entry in list(one.external_data):
            if entry.key != "location":
                one.external_data.remove(entry)
    external.write_bytes(model.SerializeToString())
    (external.parent / "weights.bin").write_bytes(b"")
    assert "'weights.bin' has nothing of tensor" in refusal(external)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "inner/../../weights.bin"])
def test_data_outside_the_models_folder_is_refused(external: Path, location: str) -> None:
    (external.parent / "inner").mkdir()
    point_at(external, location)
    assert "outside its folder" in refusal(external)


def test_a_link_that_leads_outside_the_folder_is_refused(
    external: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = external.parent / "weights.bin"
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "secret.bin"
    data.rename(elsewhere)
    data.symlink_to(elsewhere)
    assert "outside its folder" in refusal(external)


def test_a_hubs_snapshot_of_links_into_its_store_works(
    external: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = tmp_path_factory.mktemp("blobs")
    plain = prepare(external, SHAPES)
    for name in ("model.onnx", "weights.bin"):
        (external.parent / name).rename(store / name)
        (external.parent / name).symlink_to(store / name)
    assert prepare(external, SHAPES) == plain


def test_data_beyond_the_files_end_is_refused(external: Path) -> None:
    model = onnx.load(external, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "offset":
            entry.value = str(np.iinfo(np.int32).max)
    external.write_bytes(model.SerializeToString())
    assert "is cut off" in refusal(external)


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "is a FIFO, and a model is read more than once" in refusal(tmp_path / "fifo")
    assert "is a character device" in refusal(Path("/dev/zero"))


def test_a_file_larger_than_any_model_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(3 * 2**30)  # a hole, which takes no space
    assert "a file of one has less than 2 GiB" in refusal(path)


@pytest.mark.parametrize("place", ["input", "node", "initializer", "attribute", "domain", "metadata"])
def test_a_name_that_is_no_text_is_shown_as_its_bytes(save: Save, place: str) -> None:
    model, mark = dense_model(), "@mark@"
    if place == "input":
        model.graph.node[0].input[0] = mark
    elif place == "node":
        model.graph.node[0].name = mark
    elif place == "initializer":
        model.graph.initializer[0].name = mark
    elif place == "attribute":
        model.graph.node[0].attribute.add(name=mark, type=onnx.AttributeProto.INT, i=1)
    elif place == "domain":
        model.opset_import.add(domain=mark, version=1)
    else:
        model.metadata_props.add(key="author", value=mark)
    path = save(model)
    path.write_bytes(path.read_bytes().replace(mark.encode(), b"conv\xff\xfe"))
    assert r"a name or a text in it is 'conv\xff\xfe', which is not UTF-8" in refusal(path)
