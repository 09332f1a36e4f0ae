"""PyTorch's files told apart by their archives, without PyTorch."""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import pytest

from workers.converters import CONVERTERS
from workers.converters.torch.recognise import (
    COMPILED,
    DAMAGED,
    EXPORTED,
    MODULE,
    SCRIPT,
    WEIGHTS,
    recognise,
)

# What torch.save writes before the object, in a file from before it wrote archives.
_BEFORE_ARCHIVES = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def named(module: str, name: str) -> bytes:
    """A pickle that names one object of a module, which needn't be there."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"."


def archive(path: Path, files: Mapping[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name, data in files.items():
            opened.writestr(f"net/{name}", data)
    return path


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"archive_format": "pt2", "models/model.json": "{}"}, EXPORTED),
        ({"serialized_exported_program.json": "{}", "version": "5.1"}, EXPORTED),
        ({"archive_format": "pt2", "data/aotinductor/model/x.so": ""}, COMPILED),
        ({"constants.pkl": "", "code/__torch__.py": "", "data.pkl": ""}, SCRIPT),
        ({"data.pkl": pickle.dumps(OrderedDict(a=1)), "version": "3"}, WEIGHTS),
        ({"data.pkl": named("torch._utils", "_rebuild_tensor_v2")}, WEIGHTS),
        ({"data.pkl": named("torch", "FloatStorage")}, WEIGHTS),
        ({"data.pkl": named("torch.nn.modules.linear", "Linear")}, MODULE),
        ({"data.pkl": named("posix", "system")}, MODULE),
        ({"data.pkl": b"\x80\x02not a pickle"}, MODULE),
        ({"readme.txt": "hello"}, None),
    ],
)
def test_an_archive_is_told_by_what_is_in_it(
    tmp_path: Path, files: Mapping[str, bytes | str], kind: str | None
) -> None:
    assert recognise(str(archive(tmp_path / "net.pt", files))) == kind


def test_files_from_before_archives_are_told_too(tmp_path: Path) -> None:
    before = _BEFORE_ARCHIVES + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)
    path = tmp_path / "net.pth"
    path.write_bytes(before + pickle.dumps({"epoch": 3}, 2) + pickle.dumps([], 2))
    assert recognise(str(path)) == WEIGHTS
    path.write_bytes(before + named("zoo", "Net"))
    assert recognise(str(path)) == MODULE


def test_an_archive_without_its_end_is_damaged_and_others_are_not_ours(tmp_path: Path) -> None:
    whole = archive(tmp_path / "net.pt2", {"models/model.json": "{}" * 100}).read_bytes()
    (tmp_path / "net.pt2").write_bytes(whole[:-40])
    assert recognise(str(tmp_path / "net.pt2")) == DAMAGED
    (tmp_path / "net.zip").write_bytes(whole[:-40])
    assert recognise(str(tmp_path / "net.zip")) is None
    (tmp_path / "notes.txt").write_text("PK\n")
    assert recognise(str(tmp_path / "notes.txt")) is None
    assert recognise(str(tmp_path)) is None
    assert recognise(str(tmp_path / "gone.pt")) is None


def test_every_kind_is_described(tmp_path: Path) -> None:
    converter = CONVERTERS["torch"]
    for name in (EXPORTED, SCRIPT, MODULE, WEIGHTS, COMPILED, DAMAGED):
        kind = converter.kind(name)
        assert kind.source
        assert bool(kind.trust) == (name == MODULE)
        assert bool(kind.refused) == (name in (WEIGHTS, COMPILED, DAMAGED))
    assert converter.takes_code
