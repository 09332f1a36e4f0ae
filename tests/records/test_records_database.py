"""The store as a database of TVM's: no record of another target or device is handed out or built with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.builds import build_model
from orchestrator.models.extraction import extract_model
from orchestrator.models.request import ModelRequest
from orchestrator.storage import NewTrial, Storage
from orchestrator.toolbox import Toolbox
from tests.kit.tiny_models import save
from workers.messages import Candidate, Measurement, TrialState

# A trace that schedules nothing: every workload has it.
UNTOUCHED = Candidate("untouched", "[[],[]]")
OWN, FASTER = (3e-4, 5e-4), (1e-9,)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def url(tools: Toolbox, path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with a record of each task but one for this device, and faster ones of all for two others."""
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'records.db'}"
    device = tools.resolve_target("auto")
    cores = json.dumps({**json.loads(device.target), "num-cores": device.cores + 1})
    others = [tools.resolve_target(cores), tools.resolve_target("cuda -arch=sm_90")]
    with Storage.open(url) as store:
        model = extract_model(store, tools, ModelRequest(path=str(path)), device)
        keys = [task.workload.hash for task in model.tasks]
        trials = [
            NewTrial(key, device.device_class, UNTOUCHED, Measurement(TrialState.OK, OWN)) for key in keys[1:]
        ]
        for other in others:
            store.device_classes.put("metaschedule", other)
            faster = Measurement(TrialState.OK, FASTER)
            trials += [NewTrial(key, other.device_class, UNTOUCHED, faster) for key in keys]
        store.trials.record(trials)
    return url


@pytest.fixture(scope="module")
def said(url: str, path: Path) -> Any:
    script = Path(__file__).with_name("ask_database.py")
    done = subprocess.run(
        [sys.executable, str(script), url, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_no_method_returns_a_record_of_another_device(said: Any) -> None:
    # Three tasks, and the three kernels as stock lowers them.
    assert len(said["kernels"]) == 6
    (missing,) = [kernel["tasks"] for kernel in said["kernels"][:3] if not kernel["top"]]
    for kernel in said["kernels"]:
        assert len(kernel["tasks"]) == 1
        there = kernel["tasks"] != missing
        assert kernel["top"] == ([list(OWN)] if there else [])
        assert kernel["record"] == (list(OWN) if there else None)
        assert kernel["schedule"] == kernel["module"] == kernel["with host"] == there
        # It was committed, so that it is known with and without a record.
        assert kernel["has"]
    assert said["all"] == [list(OWN)] * 2
    assert said["len"] == 2
    assert not said["strange"]


def test_a_query_for_another_target_finds_nothing(said: Any) -> None:
    for kernel in said["kernels"]:
        assert kernel["of another target"] == [False, False, False]


def test_tvm_s_own_pass_applies_what_is_there(said: Any) -> None:
    assert (said["own"], said["other"]) == (4, 0)


def test_a_record_is_not_taken(said: Any) -> None:
    assert "tunefleet records import" in said["commit"]


def test_a_build_uses_no_record_of_another_device(
    url: str, tools: Toolbox, path: Path, tmp_path: Path
) -> None:
    with Storage.open(url) as store:
        report = build_model(store, tools, ModelRequest(path=str(path)), tmp_path / "lib.so")
    assert report.coverage.tuned == 2
    assert {record.times for record in report.coverage.records.values()} == {OWN}
