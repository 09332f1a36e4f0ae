"""Which precision is faster: timed by a command that takes its time, found again by those that only look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrator.builds import forms
from orchestrator.cli.kit.aim import Aim
from orchestrator.cli.kit.forms import faster_form
from orchestrator.cli.kit.session import Session
from orchestrator.conversion.faster import FormTimes
from orchestrator.errors import EngineError
from tests.kit.cli_builders import CPU
from tests.kit.stand_ins import CannedToolbox
from workers.messages import DeviceInfo, Precision

LOOKS, BUILDS = Aim(), Aim(timed=True)
Choose = Callable[..., tuple[Path, str]]


class Elsewhere(CannedToolbox):
    """Has a target besides that this machine can't run."""

    def resolve_target(self, spec: str) -> DeviceInfo:
        return CPU if spec == "auto" else replace(CPU, unfit="it is for aarch64")


class Here:
    """A command's surroundings, as far as they are asked for."""

    def toolbox(self, engine: str) -> CannedToolbox:
        return Elsewhere(engine)

    @contextmanager
    def storage(self) -> Iterator[None]:
        yield

    @contextmanager
    def steps(self) -> Iterator[Callable[[str], None]]:
        yield lambda _: None


@pytest.fixture
def choose(tmp_path: Path) -> Choose:
    """Chooses between two files for a command."""
    (tmp_path / "net.onnx").write_bytes(b"float32")
    (tmp_path / "net.int8.onnx").write_bytes(b"int8")

    def run(aim: Aim, shapes: dict[str, tuple[int, ...]] | None = None) -> tuple[Path, str]:
        both = tmp_path / "net.onnx", tmp_path / "net.int8.onnx"
        return faster_form(cast(Session, Here()), *both, shapes or {}, Precision.INT8, aim)

    return run


def taking(*seconds: float) -> Callable[..., FormTimes]:
    def timed(*_: Any) -> FormTimes:
        assert seconds, "it was timed before"
        return FormTimes(seconds[0], seconds[1], seconds[1] / seconds[0])

    return timed


@pytest.mark.parametrize(("float32_s", "int8_s", "chosen"), [(3e-3, 2e-3, "int8"), (2e-3, 3e-3, "float32")])
def test_the_faster_form_is_taken_and_found_again(
    choose: Choose, float32_s: float, int8_s: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A command that only looks does not build both first.
    path, told = choose(LOOKS)
    assert (path.name, told) == ("net.int8.onnx", "int8: which is faster was not timed")
    monkeypatch.setattr(forms, "time_forms", taking(float32_s, int8_s))
    first = choose(BUILDS)
    assert first[0].name == ("net.int8.onnx" if chosen == "int8" else "net.onnx")
    assert f"it takes {int8_s * 1e3:.3g} ms in int8 and {float32_s * 1e3:.3g} in float32" in first[1]
    assert first[1].startswith(chosen)
    monkeypatch.setattr(forms, "time_forms", taking())
    assert choose(BUILDS) == choose(LOOKS) == first
    # Of other sizes nothing is known.
    assert choose(LOOKS, {"x": (2, 3)})[1] == "int8: which is faster was not timed"


def test_what_is_for_another_machine_is_not_timed_on_this_one(
    choose: Choose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "time_forms", taking())
    board = Aim.of("metaschedule", ["llvm -mcpu=cortex-a72"], timed=True)
    assert choose(board)[1] == "int8: which is faster was not timed"


def test_what_does_not_compile_stays_in_float32(choose: Choose, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> FormTimes:
        raise EngineError("LLVM has no such instruction\nand more")

    monkeypatch.setattr(forms, "time_forms", refused)
    path, told = choose(BUILDS)
    assert path.name == "net.onnx"
    assert told == "float32: as int8 it can't be built: LLVM has no such instruction"
