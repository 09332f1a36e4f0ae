"""Builds from stores in which some records can't be used: a global pool, and traces of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from orchestrator.builds import Coverage, bench_model, build_model
from orchestrator.builds.coverage import coverage_of
from orchestrator.builds.sound import with_sound_records
from orchestrator.errors import EngineError, EngineLostError, IncompleteError
from orchestrator.models.extraction import ExtractedModel, extract_model
from orchestrator.models.request import ModelRequest
from orchestrator.storage import NewTrial, Storage
from orchestrator.toolbox import Toolbox
from workers.messages import Candidate, Measurement, RecordChoice, TrialState

_BLOCKS = [
    ["GetSBlock", [], ["root", "main"], ["b0"]],
    # Two steps that leave the root as it was, around the loops that it had.
    ["Annotate", ["b0", 64], ["meta_schedule.vectorize"], []],
    ["Unannotate", ["b0"], ["meta_schedule.vectorize"], []],
    ["GetChildBlocks", ["b0"], [], ["b1", "b2"]],
]
_LOOPS = ["GetLoops", ["b2"], [], ["l3", "l4", "l5", "l6"]]
#: TVM applies it, and changed the module by it.
IN_PLACE = [*_BLOCKS, _LOOPS, ["Fuse", ["l5", "l6"], [1], ["l7"]], ["Vectorize", ["l7"], [], []]]
#: As a search recorded it on a module that another trace had changed: there are 4 loops and not 3.
MISFIT = [*_BLOCKS, ["GetLoops", ["b2"], [], ["l3", "l4", "l5"]], ["Vectorize", ["l5"], [], []]]
#: It applies, and no CPU has such threads.
UNCOMPILABLE = [*_BLOCKS, _LOOPS, ["Bind", ["l4"], ["threadIdx.x"], []]]
PLAIN = [*_BLOCKS, _LOOPS, ["Parallel", ["l4"], [], []]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}") as opened:
        yield opened


@pytest.fixture
def request_(tmp_path: Path) -> ModelRequest:
    graph = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["x"], ["y"])],
        "pool",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, 7, 7])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16, 1, 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "pool.onnx"))
    return ModelRequest(path=str(tmp_path / "pool.onnx"))


@pytest.fixture
def model(store: Storage, tools: Toolbox, request_: ModelRequest) -> ExtractedModel:
    found = extract_model(store, tools, request_, tools.resolve_target("auto"))
    assert len(found.tasks) == 1
    return found


def record(store: Storage, model: ExtractedModel, name: str, trace: list[object], seconds: float) -> None:
    candidate = Candidate(name, json.dumps([trace, []]))
    measured = Measurement(TrialState.OK, (seconds,))
    store.trials.record(
        [NewTrial(model.tasks[0].workload.hash, model.device.device_class, candidate, measured)]
    )


def used(coverage: Coverage) -> list[str]:
    return [found.candidate.hash for found in coverage.records.values()]


def test_a_record_whose_trace_once_changed_the_module_is_built_with(
    store: Storage, tools: Toolbox, request_: ModelRequest, model: ExtractedModel, tmp_path: Path
) -> None:
    record(store, model, "in place", IN_PLACE, 1e-6)
    coverage = build_model(store, tools, request_, tmp_path / "lib.so").coverage
    assert (used(coverage), coverage.set_aside) == (["in place"], 0)


def test_records_that_cannot_be_used_are_set_aside_for_the_next_best(
    store: Storage, tools: Toolbox, request_: ModelRequest, model: ExtractedModel, tmp_path: Path
) -> None:
    record(store, model, "misfit", MISFIT, 1e-6)
    record(store, model, "uncompilable", UNCOMPILABLE, 2e-6)
    record(store, model, "plain", PLAIN, 3e-6)
    record(store, model, "slower misfit", MISFIT, 4e-6)
    coverage = build_model(store, tools, request_, tmp_path / "lib.so", require_complete=True).coverage
    assert used(coverage) == ["plain"]
    (task,) = coverage.tasks
    assert task.best_s == 3e-6
    assert [(aside.candidate, aside.best_s) for aside in task.set_aside] == [
        ("misfit", 1e-6),
        ("uncompilable", 2e-6),
    ]
    misfit, uncompilable = (aside.reason for aside in task.set_aside)
    assert "applying the schedule" in misfit
    assert "3 vs. 4" in misfit
    assert "compiling" in uncompilable


def test_a_task_without_a_usable_record_is_untuned_and_a_complete_build_says_why(
    store: Storage, tools: Toolbox, request_: ModelRequest, model: ExtractedModel, tmp_path: Path
) -> None:
    record(store, model, "misfit", MISFIT, 1e-6)
    with pytest.raises(IncompleteError, match=r"record \d+ can't be used: .*3 vs\. 4"):
        build_model(store, tools, request_, tmp_path / "lib.so", require_complete=True)
    assert not (tmp_path / "lib.so").exists()
    coverage = build_model(store, tools, request_, tmp_path / "lib.so").coverage
    assert (coverage.tuned, coverage.set_aside) == (0, 1)
    assert (tmp_path / "lib.so").exists()


def test_a_comparison_is_made_with_the_records_that_can_be_used(
    store: Storage, tools: Toolbox, request_: ModelRequest, model: ExtractedModel
) -> None:
    record(store, model, "uncompilable", UNCOMPILABLE, 1e-6)
    record(store, model, "plain", PLAIN, 3e-6)
    report = bench_model(store, tools, request_, rounds=1)
    assert report.outputs_agree
    assert (report.tasks_tuned, report.tasks_total) == (1, 1)
    assert "1 set aside" in report.why


def test_what_no_record_is_to_blame_for_fails_as_it_did(
    store: Storage, tools: Toolbox, model: ExtractedModel
) -> None:
    record(store, model, "plain", PLAIN, 1e-6)
    error = EngineError("the disk is full")
    error.stage = "compiling the model"
    made = []

    def failing(coverage: Coverage) -> None:
        made.append(coverage)
        raise error

    with pytest.raises(EngineError, match="the disk is full"):
        with_sound_records(store, tools, model, failing)
    assert len(made) == 1


def test_an_engine_that_was_stopped_is_not_asked_for_what_is_wrong(
    store: Storage, tools: Toolbox, model: ExtractedModel
) -> None:
    record(store, model, "plain", PLAIN, 1e-6)
    stopped = Toolbox("metaschedule")
    stopped.stop()

    def compile_it(coverage: Coverage) -> None:
        stopped.compile(model.prepared, model.device.target, RecordChoice("", coverage.records)).result()

    with pytest.raises(EngineLostError, match="was stopped"):
        with_sound_records(store, stopped, model, compile_it)


def test_a_lookup_alone_sets_nothing_aside(store: Storage, tools: Toolbox, model: ExtractedModel) -> None:
    record(store, model, "misfit", MISFIT, 1e-6)
    coverage = coverage_of(store, model)
    assert (used(coverage), coverage.set_aside) == (["misfit"], 0)
