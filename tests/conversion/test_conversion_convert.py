"""A source converted: compared, chosen, kept; and all that a converter may do instead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from orchestrator.conversion import ConversionSettings, convert, find_source
from orchestrator.conversion.choose import Draw, why_it_says_little
from orchestrator.conversion.convert import Conversion
from orchestrator.conversion.kept import kept_folder
from orchestrator.errors import (
    DisagreementError,
    EngineLostError,
    EngineTimeoutError,
    ModelError,
    UsageError,
)
from orchestrator.toolbox import Toolbox
from tests.kit.tiny_models import tiny
from tests.kit.toys import TOYS, toy
from workers.converters import contract
from workers.messages import Origin


@pytest.fixture
def converted(tools: Toolbox) -> Callable[..., Conversion]:
    """Converts what an argument names."""

    def run(named: Path | str, **settings: object) -> Conversion:
        source = find_source(str(named))
        assert source is not None
        return convert(tools, source, ConversionSettings(**settings))  # type: ignore[arg-type]

    return run


def left() -> list[str]:
    """Whatever is in the folder of what is kept, the entries apart."""
    folder = kept_folder()
    return sorted(one.name for one in folder.iterdir() if one.name != "sources") if folder.exists() else []


def test_the_lightest_export_is_kept_and_says_where_it_is_from(
    converted: Callable[..., Conversion], tools: Toolbox, tmp_path: Path
) -> None:
    found = converted(toy(tmp_path / "net.toy"))
    assert not found.remembered
    assert [one.exporter for one in found.judged] == ["toy.roundabout", "toy.plain"]
    heavy, light = (one.burden for one in found.judged)
    assert heavy is not None
    assert light is not None
    assert (light.nodes, light.transposes, light.weight) == (1, 0, 1)
    assert (heavy.transposes, heavy.weight > light.weight) == (2, True)
    assert (
        found.kept.why == "toy.plain: leaves 1 operator; not toy.roundabout: leaves 3 operators, 2 transposes"
    )
    assert found.kept.max_rel is not None
    assert found.kept.max_rel < 1e-6
    assert found.path.name == "net.onnx"
    assert found.path.is_relative_to(tmp_path / "data" / "tunefleet" / "converted")
    prepared = tools.prepare(str(found.path), {})
    assert prepared.origin == Origin("net.toy", "Toy 1.0", "toy.plain")
    assert [spec.name for spec in (*prepared.inputs, *prepared.outputs)] == ["x", "y"]
    # No engine is told of it: two files that compute the same are the same to it.
    assert not onnx.load_from_string(prepared.onnx).metadata_props


def test_outputs_that_never_change_are_said_to_show_little() -> None:
    def draw(number: float, *rows: tuple[float, float]) -> Draw:
        return Draw({"x": np.full((len(rows), 2), number)}, {"y": np.array(rows), "z": np.float32(1.0)})

    level = (0.5, 0.5)
    same = [draw(0.0, level), draw(1.0, level, (0.5, 0.50001))]
    assert "its outputs are the same to 2e-05 of their largest value" in why_it_says_little(same)
    assert not why_it_says_little([draw(0.0, level), draw(1.0, level, (0.6, 0.4))])
    # Of the same inputs there is nothing to tell.
    assert not why_it_says_little([draw(0.0, level), draw(0.0, level)])


def test_sizes_that_are_open_stay_open(converted: Callable[..., Conversion], tmp_path: Path) -> None:
    found = converted(toy(tmp_path / "net.toy", "rows ?"))
    (dims,) = [value.type.tensor_type.shape.dim for value in onnx.load(found.path).graph.input]
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["n", 3]
    assert [one["shape"] for one in found.kept.inputs] == [("n", 3)]


def test_the_same_content_is_not_converted_again(
    converted: Callable[..., Conversion], tmp_path: Path
) -> None:
    first = converted(toy(tmp_path / "net.toy"), exporter="plain")
    again = converted(tmp_path / "net.toy", exporter="plain")
    assert again.remembered
    assert (again.path, again.kept.origin, again.kept.why) == (first.path, first.kept.origin, first.kept.why)
    # Whatever folder it lies in, and however old it is.
    (tmp_path / "elsewhere").mkdir()
    assert converted(toy(tmp_path / "elsewhere" / "net.toy"), exporter="plain").path == first.path
    assert not converted(tmp_path / "net.toy", exporter="plain", shapes={"x": (2, 3)}).remembered
    assert not converted(tmp_path / "net.toy", exporter="plain", anew=True).remembered
    assert converted(toy(tmp_path / "net.toy", "seed 2"), exporter="plain").path != first.path


def test_what_was_not_compared_is_compared_once_that_is_asked(
    converted: Callable[..., Conversion], tmp_path: Path
) -> None:
    path = toy(tmp_path / "net.toy")
    assert not converted(path, check=False, exporter="plain").kept.checked
    assert converted(path, check=False, exporter="plain").remembered
    assert not converted(path, exporter="plain").remembered
    assert converted(path, check=False, exporter="plain").remembered


def test_a_function_is_run_again_when_what_it_is_made_of_changed(
    converted: Callable[..., Conversion], tmp_path: Path
) -> None:
    code = tmp_path / "zoo.py"
    # The import is what says whose function it is.
    code.write_text('def net():\n    return "toy model\\nseed 1"\n\ndef never():\n    import toy\n')
    with pytest.raises(UsageError, match="a function is run to get its model; add --trust"):
        converted("zoo.py:net")
    assert not converted("zoo.py:net", trust=True, exporter="plain").remembered
    # Nothing runs, so that nothing has to be trusted.
    assert converted("zoo.py:net", exporter="plain").remembered
    code.write_text(code.read_text().replace("seed 1", "seed 2"))
    with pytest.raises(UsageError, match="--trust"):
        converted("zoo.py:net")
    assert not converted("zoo.py:net", trust=True, exporter="plain").remembered


def test_a_lie_is_found_out_and_not_kept(converted: Callable[..., Conversion], tmp_path: Path) -> None:
    path = toy(tmp_path / "net.toy", "do lie")
    with pytest.raises(
        DisagreementError,
        match=r"no export of net\.toy computes what Toy 1\.0 does: toy\.roundabout: output 'y'",
    ):
        converted(path)
    assert left() == []
    assert not converted(path, check=False).kept.checked


@pytest.mark.parametrize("code", [contract.NEEDS_SHAPES, contract.NO_ONNX_FORM])
def test_what_a_converter_refuses_is_told_in_its_words(
    converted: Callable[..., Conversion], tmp_path: Path, code: str
) -> None:
    path = toy(tmp_path / "net.toy", f"do {code}")
    with pytest.raises(ModelError, match=rf"^net\.toy: this is {code}; do something else$"):
        converted(path)
    assert left() == []


def test_what_a_converter_did_not_foresee_is_told_with_its_type(
    converted: Callable[..., Conversion], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"net\.toy: KeyError: 'shape'"):
        converted(toy(tmp_path / "net.toy", "do scribble"))
    assert left() == []


def test_a_converter_that_dies_leaves_its_last_words(
    converted: Callable[..., Conversion], tmp_path: Path
) -> None:
    with pytest.raises(
        EngineLostError, match=r"killed by signal 11 \(SIGSEGV\) while it converted net\.toy"
    ) as told:
        converted(toy(tmp_path / "net.toy", "do crash"))
    assert str(told.value).endswith("toy reads net.toy")
    log = tmp_path / "data" / "tunefleet" / "converters" / "toy.log"
    assert str(log) in str(told.value)
    assert log.read_text() == "toy reads net.toy\n"
    assert left() == []


def test_a_converter_that_takes_too_long_is_killed(
    converted: Callable[..., Conversion],
    tmp_path: Path,
    eventually: Callable[..., None],
    running: Callable[[int], bool],
) -> None:
    with pytest.raises(EngineTimeoutError, match=r"ended after 3 s; --timeout gives it more"):
        converted(toy(tmp_path / "net.toy", "do sleep"), timeout_s=3.0)
    pid = int((tmp_path / "net.pid").read_text())
    eventually(lambda: not running(pid), "the converter is gone")
    assert left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_converter_ends_with_its_command(
    tmp_path: Path,
    number: signal.Signals,
    eventually: Callable[..., None],
    running: Callable[[int], bool],
) -> None:
    note = tmp_path / "net.pid"
    toy(tmp_path / "net.toy", "do sleep")
    command = [sys.executable, "-c", "from orchestrator.cli import main; main()"]
    with subprocess.Popen(
        [*command, "convert", "net.toy", "-o", "net.onnx"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        env={**os.environ, "TUNEFLEET_CONVERTER_PATH": str(TOYS)},
        # What a shell starts in the background is deaf to it, and so is all that comes of that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            eventually(lambda: note.exists() and note.read_text(), "it converts", 60)
            process.send_signal(number)
            code = process.wait(30)
        finally:
            process.kill()
    assert code == (130 if number is signal.SIGINT else -number)
    eventually(lambda: not running(int(note.read_text())), "the converter is gone")
    assert not (tmp_path / "net.onnx").exists()
    assert left() == []


def test_weights_beside_an_export_are_kept_by_their_content(tools: Toolbox, tmp_path: Path) -> None:
    out, kept = tmp_path / "out", tmp_path / "kept"
    out.mkdir()
    kept.mkdir()
    onnx.save(
        tiny(), out / "model-a.onnx", save_as_external_data=True, location="model-a.data", size_threshold=0
    )
    origin = Origin("a.toy", "Toy 1.0", "toy.a")
    names = tools.adopt(str(out / "model-a.onnx"), str(kept / "a.onnx"), origin)
    assert sorted(names) == sorted(path.name for path in kept.iterdir())
    assert names[0].startswith("weights-")
    loaded = onnx.load(kept / "a.onnx")
    before = {tensor.name: numpy_helper.to_array(tensor) for tensor in tiny().graph.initializer}
    for tensor in loaded.graph.initializer:
        assert (numpy_helper.to_array(tensor) == before[tensor.name]).all()
    assert tools.prepare(str(kept / "a.onnx"), {}).origin == origin
