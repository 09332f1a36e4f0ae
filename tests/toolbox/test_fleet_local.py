"""The engine processes of one's own machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from orchestrator.errors import ModelError, TargetError
from orchestrator.toolbox import Toolbox
from tests.kit.tiny_models import save
from workers.messages import RecordChoice, SearchOptions


def test_a_model_is_imported_compiled_run_and_compared(tools: Toolbox, tmp_path: Path) -> None:
    model = tools.prepare(str(save(tmp_path / "tiny.onnx")), {})
    target = tools.resolve_target("auto").target
    builds = [
        tools.compile(model, target, RecordChoice("untuned")),
        tools.compile(model, target, RecordChoice("untuned"), params_beside=True),
    ]
    inputs, expected = tools.reference_outputs(model, 1, 1)
    for build in builds:
        run = tools.run(build.result(120), inputs, target, repeats=2)
        assert len(run.times) == 2
        assert tools.judge(model, inputs, run.outputs, expected).ok
    assert len(tools.reference_timing(model, inputs, 1, 3).times) >= 3


def test_a_file_that_is_no_model_is_refused_in_words(tools: Toolbox, tmp_path: Path) -> None:
    path = tmp_path / "notes.onnx"
    path.write_text("these are not the bytes of a model")
    with pytest.raises(ModelError, match=r"notes\.onnx"):
        tools.prepare(str(path), {})


def test_a_target_nobody_knows_is_refused(tools: Toolbox) -> None:
    with pytest.raises(TargetError, match="no-such-kind"):
        tools.resolve_target("no-such-kind")


def test_versions_name_what_results_depend_on(tools: Toolbox) -> None:
    assert set(tools.versions()) >= {"tvm", "llvm", "engine", "onnx", "onnxruntime"}
    assert tools.engine_version() == tools.versions()["engine"]


def test_searches_that_learn_nothing_from_other_workloads_say_so(tools: Toolbox) -> None:
    assert not tools.transfers(SearchOptions())


def test_after_it_was_left_no_process_is_there(
    eventually: Callable[..., None], running: Callable[[int], bool]
) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with Toolbox("metaschedule") as own:
        own.resolve_target("auto")
        started = {child.pid for child in psutil.Process().children(recursive=True)} - before
        assert started
    eventually(lambda: not any(map(running, started)), "its processes are gone")
