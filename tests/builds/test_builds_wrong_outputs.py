"""Records that compute something else: found among those of a model, named, and left out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from orchestrator.builds import bench_model, build_model
from orchestrator.builds.coverage import coverage_of
from orchestrator.builds.wrong_outputs import faults_of
from orchestrator.errors import DisagreementError
from orchestrator.models.extraction import ExtractedModel, extract_model
from orchestrator.models.request import ModelRequest
from orchestrator.storage import NewTrial, Storage
from orchestrator.toolbox import Toolbox
from workers.messages import Candidate, Measurement, TrialState

#: Leaves a kernel as it is: a schedule of no steps.
UNTOUCHED: list[object] = []
_SUMS = [["GetSBlock", [], ["root", "main"], ["b0"]], ["GetChildBlocks", ["b0"], [], ["b1", "b2"]]]
#: Keeps the sums of a pool in bytes: TVM calls the step unsafe, applies it, and compiles what comes of it.
IN_BYTES = [*_SUMS, ["UnsafeSetDType", ["b1"], [0, "int8"], []]]
#: The same step where it does no harm.
IN_DOUBLE = [*_SUMS, ["UnsafeSetDType", ["b1"], [0, "float64"], []]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}") as opened:
        yield opened


@pytest.fixture
def request_(tmp_path: Path) -> ModelRequest:
    """Two pools of different sizes, and a product in between."""
    rng = np.random.default_rng(3)
    weights = numpy_helper.from_array(rng.standard_normal((16, 64)).astype("float32"), "w")
    shape = numpy_helper.from_array(np.array([1, 4, 4, 4]), "shape")
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["product"]),
            helper.make_node("Reshape", ["product", "shape"], ["image"]),
            helper.make_node("GlobalAveragePool", ["image"], ["y"]),
        ],
        "pools",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, 7, 7])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 1, 1])],
        [weights, shape],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "pools.onnx"))
    return ModelRequest(path=str(tmp_path / "pools.onnx"))


@pytest.fixture
def model(store: Storage, tools: Toolbox, request_: ModelRequest) -> ExtractedModel:
    found = extract_model(store, tools, request_, tools.resolve_target("auto"))
    assert len(pools(found)) == 2, [task.name for task in found.tasks]
    assert len(found.tasks) > 2
    return found


def pools(model: ExtractedModel) -> list[str]:
    return [task.workload.hash for task in model.tasks if task.workload.name.startswith("mean")]


def record(
    store: Storage, model: ExtractedModel, workload_hash: str, name: str, trace: list[object], seconds: float
) -> None:
    candidate = Candidate(name, json.dumps([trace, []]))
    measured = Measurement(TrialState.OK, (seconds,))
    store.trials.record([NewTrial(workload_hash, model.device.device_class, candidate, measured)])


def states(store: Storage, model: ExtractedModel) -> dict[str, TrialState]:
    trials = [
        trial
        for task in model.tasks
        for trial in store.trials.of_workload(task.workload.hash, model.device.device_class)
    ]
    return {trial.candidate: trial.state for trial in trials}


def test_a_build_names_the_record_at_fault_and_goes_without_it(
    store: Storage, tools: Toolbox, request_: ModelRequest, model: ExtractedModel, tmp_path: Path
) -> None:
    first, second = pools(model)
    record(store, model, first, "untouched", UNTOUCHED, 3e-6)
    record(store, model, second, "false", IN_BYTES, 1e-6)
    record(store, model, second, "next best", IN_DOUBLE, 2e-6)
    said: list[str] = []
    report = build_model(store, tools, request_, tmp_path / "lib.so", say=said.append)
    (wrong,) = report.wrong
    assert (wrong.workload_hash, wrong.candidate, wrong.best_s) == (second, "false", 1e-6)
    assert "output 'y'" in wrong.reason
    assert report.coverage.records[second].candidate.hash == "next best"
    assert report.coverage.records[first].candidate.hash == "untouched"
    found = states(store, model)
    assert found.pop("false") is TrialState.WRONG_OUTPUT
    assert set(found.values()) == {TrialState.OK}
    trial = store.trials.get(wrong.trial_id)
    assert (trial.cost_s, trial.times) == (None, ())
    assert "computes something else" in trial.message
    assert "it had been timed at 1e-06 s" in trial.message
    assert any("looking for the record of pools that is wrong" in line for line in said)
    assert (tmp_path / "lib.so").exists()


@pytest.mark.slow
def test_a_comparison_names_all_records_at_fault_and_times_what_is_right(
    store: Storage, tools: Toolbox, request_: ModelRequest, model: ExtractedModel
) -> None:
    for workload_hash in pools(model):
        record(store, model, workload_hash, f"false {workload_hash}", IN_BYTES, 1e-6)
    report = bench_model(store, tools, request_, rounds=1)
    assert report.outputs_agree
    assert report.tasks_tuned == 0
    assert {wrong.workload_hash for wrong in report.wrong} == set(pools(model))
    assert set(states(store, model).values()) == {TrialState.WRONG_OUTPUT}
    kept = store.verifications.latest(model.id, model.device.device_class)
    assert kept is not None
    assert [one["candidate"] for one in kept.details["wrong"]] == [wrong.candidate for wrong in report.wrong]


@pytest.mark.slow
def test_a_borrowed_record_at_fault_is_refused_and_stays_what_it_is(
    store: Storage, tools: Toolbox, request_: ModelRequest, model: ExtractedModel, tmp_path: Path
) -> None:
    own = model.device
    lender = replace(own, target=own.target.replace(" ", "  "), device_class="lender")
    store.device_classes.put("metaschedule", lender)
    candidate = Candidate("false", json.dumps([IN_BYTES, []]))
    measured = Measurement(TrialState.OK, (1e-6,))
    store.trials.record([NewTrial(pools(model)[0], "lender", candidate, measured)])
    with pytest.raises(
        DisagreementError, match=r"borrows from lender computes something else here: .*leave --allow"
    ):
        build_model(store, tools, request_, tmp_path / "lib.so", allowed=["lender"])
    assert not (tmp_path / "lib.so").exists()
    (trial,) = store.trials.best(pools(model)[0], "lender")
    assert trial.state is TrialState.OK


def test_without_a_check_nothing_is_found(
    store: Storage, tools: Toolbox, request_: ModelRequest, model: ExtractedModel, tmp_path: Path
) -> None:
    record(store, model, pools(model)[0], "false", IN_BYTES, 1e-6)
    assert build_model(store, tools, request_, tmp_path / "lib.so", unchecked=True).wrong == ()
    assert coverage_of(store, model).tuned == 1


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16, 60])
def test_every_single_fault_is_found(count: int) -> None:
    for fault in range(count):
        tried: list[Sequence[int]] = []

        def agree(some: Sequence[int], fault: int = fault, tried: list[Sequence[int]] = tried) -> bool:
            tried.append(some)
            return fault not in some

        assert faults_of(range(count), agree) == [fault]
        assert len(tried) <= 2 * (count - 1).bit_length() + 1


def test_several_faults_are_found_together_and_nothing_is_accused_that_is_right_alone() -> None:
    faults = {3, 4, 11, 15}
    assert faults_of(range(16), lambda some: not faults & set(some)) == sorted(faults)
    # Two whose rounding adds up: neither is wrong.
    assert faults_of(range(16), lambda some: not {3, 11} <= set(some)) == []
