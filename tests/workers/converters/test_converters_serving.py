"""What the insides of converters share: a reply whatever happens, and inputs that are the same each time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workers.converters import CONVERTERS, find_converter, packages
from workers.converters.contract import (
    CODES,
    Candidate,
    ConversionError,
    ConversionRequest,
    Converted,
    Tensor,
)
from workers.converters.serving import CHECKS, draw, main, save_checks


@pytest.fixture
def answered(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Has a function convert, and returns the reply."""

    def run(convert: Callable[[ConversionRequest], Converted]) -> dict[str, Any]:
        request = ConversionRequest("net.toy", "Toy file", {"x": (1, 3)}, "out", str(tmp_path / "reply.json"))
        request.write(str(tmp_path / "request.json"))
        main(convert, [str(tmp_path / "request.json")])
        reply: dict[str, Any] = json.loads((tmp_path / "reply.json").read_text())
        return reply

    return run


def test_a_reply_is_read_as_it_was_written(answered: Callable[..., dict[str, Any]]) -> None:
    told = Converted(
        "Toy 1.0",
        (Candidate("model-a.onnx", "toy.a"),),
        (Tensor("x", "float32", ("n", 3)),),
        (Tensor("y", "float32", (-1, 4)),),
        ("a note",),
        ("/zoo.py",),
    )
    seen: list[ConversionRequest] = []

    def convert(request: ConversionRequest) -> Converted:
        seen.append(request)
        return told

    assert Converted.of(answered(convert)) == told
    assert (seen[0].source, seen[0].shapes, seen[0].seed) == ("net.toy", {"x": [1, 3]}, 0)


@pytest.mark.parametrize("code", CODES)
def test_an_error_has_its_code_and_what_to_do(answered: Callable[..., dict[str, Any]], code: str) -> None:
    def refuse(request: ConversionRequest) -> Converted:
        raise ConversionError(code, "no", "do something")

    assert answered(refuse) == {"error": {"code": code, "message": "no", "hint": "do something"}}


@pytest.mark.parametrize(
    ("error", "text"), [(KeyError("w"), "KeyError: 'w'"), (SystemExit(3), "SystemExit: 3")]
)
def test_an_error_that_nobody_foresaw_is_a_reply_too(
    answered: Callable[..., dict[str, Any]], error: BaseException, text: str
) -> None:
    def fail(request: ConversionRequest) -> Converted:
        raise error

    assert answered(fail)["error"] == {"code": "failed", "message": text, "hint": ""}


def test_inputs_are_drawn_the_same_each_time_and_fit_their_types() -> None:
    specs = {"x": ("float32", (2, 3)), "ids": ("int64", (4,)), "mask": ("bool", (4,))}
    first, again, other = draw(specs, 1), draw(specs, 1), draw(specs, 2)
    for name, (dtype, shape) in specs.items():
        assert (first[name].dtype.name, first[name].shape) == (dtype, tuple(shape))
        assert np.array_equal(first[name], again[name])
    assert not np.array_equal(first["x"], other["x"])
    assert set(first["ids"]) <= {0, 1}


def test_checks_are_kept_by_draw_and_name(tmp_path: Path) -> None:
    save_checks(
        str(tmp_path), [({"x": np.ones(2)}, {"y": np.zeros(1)}), ({"x": np.ones(3)}, {"y": np.ones(1)})]
    )
    with np.load(tmp_path / CHECKS) as arrays:
        assert sorted(arrays.files) == ["input:0:x", "input:1:x", "output:0:y", "output:1:y"]
        assert arrays["input:1:x"].shape == (3,)


def test_converters_are_found_by_their_folders_and_none_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("CONVERTER = 'another'\n")
    monkeypatch.setenv("TUNEFLEET_CONVERTER_PATH", str(tmp_path))
    assert "mine" in CONVERTERS
    assert CONVERTERS["torch"].title == "PyTorch"
    assert find_converter("caffe") is None
    with pytest.raises(KeyError):
        CONVERTERS["caffe"]
    assert all(package.load().name == package.name for package in packages() if package.own)


@pytest.mark.parametrize("name", [package.name for package in packages() if package.own])
def test_a_converter_of_ours_pins_and_prices_what_it_needs(name: str) -> None:
    package = find_converter(name)
    assert package is not None
    lines = package.requirements.read_text().splitlines()
    assert lines[0].startswith("# python: 3.")
    assert lines[1].startswith("# check: import ")
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all("==" in pin for pin in pins)
    converter = package.load()
    assert converter.megabytes > 0
    assert converter.minutes > 0
    assert len({kind.name for kind in converter.kinds}) == len(converter.kinds)
