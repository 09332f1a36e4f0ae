"""The build command for a GPU, on a machine that has none."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.builds import build_model
from orchestrator.models.extraction import extract_model
from orchestrator.models.request import ModelRequest
from orchestrator.storage import NewTrial, Storage
from orchestrator.toolbox import Toolbox
from tests.kit.tiny_models import save
from workers.actors import SearchActor
from workers.enginekit import cuda
from workers.messages import Measurement, SearchOptions, TrialState

TARGET = "cuda -arch=sm_90"
THERE = "sm_90@some-gpu"

pytestmark = pytest.mark.skipif(
    cuda.nvcc() is None, reason="no nvcc here; pip install -c constraints.txt '.[cuda]' brings one"
)


def build(folder: Path, *options: str) -> dict[str, Any]:
    """Run the command, and return what it says."""
    program = "from orchestrator.cli import main; main()"
    command = [sys.executable, "-c", program, "build", str(folder / "tiny.onnx")]
    command += ["--target", TARGET, "-o", str(folder / "lib.so"), *options, "--json"]
    ended = subprocess.run(
        [*command, "--db", f"sqlite:///{folder / 'records.db'}"], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    document: dict[str, Any] = json.loads(ended.stdout)
    return document


@pytest.mark.slow
def test_records_of_a_gpu_elsewhere_are_applied_and_the_rest_gets_default_schedules(tmp_path: Path) -> None:
    request = ModelRequest(path=str(save(tmp_path / "tiny.onnx")))
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}") as store, Toolbox("metaschedule") as tools:
        untuned = build_model(store, tools, request, tmp_path / "untuned.so", target=TARGET)
        assert (untuned.coverage.tuned, len(untuned.coverage.tasks)) == (0, 3)

        device = tools.resolve_target(TARGET)
        tasks = extract_model(store, tools, request, device).tasks
        workload = next(task.workload for task in tasks if "matmul" in task.name)
        searcher = SearchActor("metaschedule")
        searcher.start()
        searcher.open("s", workload, device.target, SearchOptions(), (), (), 120)
        (candidate,) = searcher.propose("s", 1, None, 120)
        searcher.stop()
        store.device_classes.put(
            "metaschedule", replace(device, device_class=THERE, model="Some GPU", unfit="")
        )
        # In place of a measurement, which takes a GPU: the time is made up.
        trial = NewTrial(workload.hash, THERE, candidate, Measurement(TrialState.OK, (1e-6,)))
        assert store.trials.record([trial]) == 1

    partly = build(tmp_path, "--allow-device", THERE)
    assert (partly["tasks_tuned"], partly["tasks_total"]) == (1, 3)
    libraries = [(tmp_path / name).read_bytes() for name in ("untuned.so", "lib.so")]
    assert libraries[0] != libraries[1]
    assert not any(b"__global__" in library for library in libraries)
