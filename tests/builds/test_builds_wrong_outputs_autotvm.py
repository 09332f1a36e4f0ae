"""The same on classic TVM: a configuration that leaves out a part of a sum."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from orchestrator.builds import build_model
from orchestrator.builds.coverage import coverage_of
from orchestrator.builds.wrong_outputs import name_wrong_records
from orchestrator.models.extraction import ExtractedModel, extract_model
from orchestrator.models.request import ModelRequest
from orchestrator.storage import NewTrial, Storage
from orchestrator.toolbox import Toolbox
from workers import environments
from workers.messages import Candidate, Measurement, RecordChoice, TrialState


@pytest.fixture(scope="module")
def tools(autotvm_environment: environments.EngineEnvironment) -> Iterator[Toolbox]:
    with Toolbox("autotvm") as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}") as opened:
        yield opened


@pytest.fixture
def request_(tmp_path: Path) -> ModelRequest:
    """Two dense layers."""
    rng = np.random.default_rng(1)
    sizes = {"w": (96, 64), "b": (96,), "v": (24, 96), "c": (24,)}
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["hidden"], transB=1),
            helper.make_node("Relu", ["hidden"], ["relu"]),
            helper.make_node("Gemm", ["relu", "v", "c"], ["y"], transB=1),
        ],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 24])],
        [
            numpy_helper.from_array(rng.standard_normal(shape).astype("float32"), name)
            for name, shape in sizes.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(tmp_path / "dense.onnx"))
    return ModelRequest(path=str(tmp_path / "dense.onnx"))


@pytest.fixture
def model(store: Storage, tools: Toolbox, request_: ModelRequest) -> ExtractedModel:
    return extract_model(store, tools, request_, tools.resolve_target("auto"))


def record(store: Storage, model: ExtractedModel, task: str, name: str, tile_k: int, seconds: float) -> str:
    """Store a configuration of a dense layer that sums `tile_k` numbers side by side."""
    workload = next(one.workload for one in model.tasks if one.name == task)
    entity = [["tile_y", "sp", [-1, 1]], ["tile_x", "sp", [-1, 1]], ["tile_k", "sp", [-1, tile_k]]]
    trace = json.dumps({"index": 0, "code_hash": None, "entity": entity})
    measured = Measurement(TrialState.OK, (seconds,))
    store.trials.record(
        [NewTrial(workload.hash, model.device.device_class, Candidate(name, trace), measured)]
    )
    return workload.hash


@pytest.mark.slow
def test_a_configuration_that_leaves_a_part_of_a_sum_out_is_named(
    store: Storage, tools: Toolbox, request_: ModelRequest, model: ExtractedModel, tmp_path: Path
) -> None:
    record(store, model, "dense_nopack.x86 1x96 24x96", "right", 16, 1e-6)
    # Of 64 numbers the first 48 are summed: twice 24, and no more fit.
    changed = record(store, model, "dense_nopack.x86 1x64 96x64", "false", 24, 1e-6)
    record(store, model, "dense_nopack.x86 1x64 96x64", "next best", 16, 2e-6)
    coverage = coverage_of(store, model)
    plan = RecordChoice("each task's best", coverage.records)
    (wrong,) = name_wrong_records(store, tools, model, coverage, plan, (2,))
    assert (wrong.workload_hash, wrong.candidate, wrong.best_s) == (changed, "false", 1e-6)
    trial = store.trials.get(wrong.trial_id)
    assert (trial.state, trial.cost_s) == (TrialState.WRONG_OUTPUT, None)
    report = build_model(store, tools, request_, tmp_path / "lib.so", weigh_layouts=False)
    assert report.coverage.records[changed].candidate.hash == "next best"
    assert report.wrong == ()
