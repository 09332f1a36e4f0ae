"""The MetaSchedule engine on real TVM: from a model to tasks, candidates, times and a library."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.kit.measuring import EVALUATOR
from tests.kit.tiny_models import save
from workers.actors import BuildActor, MeasureActor, SearchActor
from workers.clients import EngineClient, ToolchainClient
from workers.errors import EngineLostError, TargetError
from workers.messages import (
    Artifact,
    Candidate,
    DeviceInfo,
    Extraction,
    Measurement,
    PreparedModel,
    Record,
    RecordChoice,
    SearchOptions,
    Station,
    TrialState,
    Workload,
)
from workers.models import compare, prepare, random_inputs, run_reference
from workers.process.engine_process import EngineProcess

SMALL = SearchOptions(settings={"population": 128})


def plan(candidates: dict[str, Candidate]) -> RecordChoice:
    return RecordChoice("these", {key: Record(candidate, (1e-3,)) for key, candidate in candidates.items()})


def hashes(extraction: Extraction) -> list[str]:
    return [task.workload.hash for task in extraction.tasks]


@pytest.fixture(scope="session")
def extract(
    engine: EngineClient, device: DeviceInfo, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Extraction]:
    """Extracts the tasks of a variant of the tiny model."""

    def of(**what: object) -> Extraction:
        path = save(tmp_path_factory.mktemp("variant") / "variant.onnx", **what)
        return engine.extract(prepare(str(path), {}), device.target)

    return of


# -- tasks and their names


def test_the_tiny_model_has_a_convolution_and_a_matrix_product(extraction: Extraction) -> None:
    names = " ".join(task.name for task in extraction.tasks)
    assert "conv2d" in names
    assert "matmul" in names
    assert all(task.weight == 1 for task in extraction.tasks)
    # 8 x 8 pixels, 4 channels of 27 products and sums, a bias and a maximum each.
    assert max(task.workload.flops for task in extraction.tasks) == 8 * 8 * 4 * (27 * 2 + 2)


def test_two_processes_find_the_same_workloads(
    extraction: Extraction, model: PreparedModel, device: DeviceInfo
) -> None:
    with EngineProcess("metaschedule", "model") as other:
        again = EngineClient(other).extract(model, device.target)
    assert hashes(again) == hashes(extraction)


def test_weights_and_names_of_a_model_do_not_matter(
    extraction: Extraction, extract: Callable[..., Extraction]
) -> None:
    assert hashes(extract(seed=9)) == hashes(extraction)
    assert hashes(extract(prefix="block_7/")) == hashes(extraction)


def test_models_that_share_a_layer_share_its_workload_and_no_other(
    extraction: Extraction, extract: Callable[..., Extraction], convolution: Workload
) -> None:
    other = extract(outputs=7)
    shared = set(hashes(other)) & set(hashes(extraction))
    assert convolution.hash in shared
    assert set(hashes(other)) - shared
    assert set(hashes(extraction)) - shared


def test_another_shape_is_another_workload(extract: Callable[..., Extraction], convolution: Workload) -> None:
    assert convolution.hash not in hashes(extract(channels=6))


# -- searching


def test_a_search_proposes_different_candidates(candidates: tuple[Candidate, ...]) -> None:
    assert len(candidates) == 4
    assert len({candidate.hash for candidate in candidates}) == 4
    assert all(json.loads(candidate.trace) for candidate in candidates)


def test_a_search_with_the_same_seed_proposes_the_same(
    searcher: SearchActor, convolution: Workload, device: DeviceInfo, candidates: tuple[Candidate, ...]
) -> None:
    searcher.open("same", convolution, device.target, SMALL, (), (), 120)
    assert searcher.propose("same", 4, None, 120) == candidates
    searcher.close("same")


def test_a_search_never_proposes_what_was_tried_before(
    searcher: SearchActor, convolution: Workload, device: DeviceInfo, candidates: tuple[Candidate, ...]
) -> None:
    tried = frozenset(candidate.hash for candidate in candidates)
    options = replace(SMALL, exclude=tried)
    searcher.open("more", convolution, device.target, options, (), (), 120)
    more = searcher.propose("more", 4, None, 120)
    again = searcher.propose("more", 4, None, 120)
    searcher.close("more")
    found = [candidate.hash for candidate in more + again]
    # A first round of what is lent has as many as there are, half of what was asked for at least.
    assert 6 <= len(found) == len(set(found)) <= 8
    assert not tried & set(found)


def test_results_train_a_cost_model_that_the_search_goes_on_with(
    searcher: SearchActor, convolution: Workload, device: DeviceInfo, candidates: tuple[Candidate, ...]
) -> None:
    history = tuple(Record(c, (1e-6 * (n + 1),)) for n, c in enumerate(candidates))
    failed = Record(candidates[0], (), TrialState.RUN_ERROR)
    seeded = searcher.open("learns", convolution, device.target, SMALL, history, (), 120)
    samples = searcher.learn("learns", (failed,), 120)
    assert seeded
    assert samples
    model = searcher.train((seeded, samples), 120)
    proposed = searcher.propose("learns", 4, model, 120)
    searcher.close("learns")
    assert proposed
    assert not {c.hash for c in proposed} & {c.hash for c in candidates}


def test_schedules_of_the_same_operator_on_other_sizes_are_fitted_and_proposed_first(
    searcher: SearchActor,
    builder: BuildActor,
    extract: Callable[..., Extraction],
    convolution: Workload,
    device: DeviceInfo,
    candidates: tuple[Candidate, ...],
) -> None:
    tasks = extract(channels=32).tasks  # several blocks, for one of 4
    larger = max((task.workload for task in tasks), key=lambda one: one.flops)
    other = min((task.workload for task in tasks), key=lambda one: one.flops)
    assert (larger.name, larger.hash == convolution.hash) == (convolution.name, False)
    lent = tuple((convolution, Record(c, (1e-3,))) for c in candidates)
    searcher.open("borrows", larger, device.target, SMALL, (), (), 120)
    first = searcher.propose("borrows", 4, None, 120, lent)
    searcher.learn("borrows", tuple(Record(c, (1e-4,)) for c in first), 60)
    proposed = searcher.propose("borrows", 4, None, 120)
    searcher.close("borrows")
    # The first round is lent; then the search goes on from there.
    assert 2 <= len(first) <= 4
    # What an evolution proposes of what is known is dropped.
    assert 2 <= len(proposed) <= 4
    assert not set(first) & set(proposed)
    assert not set(first) & set(candidates)
    for candidate in first:
        result, built = builder.build(larger, device.target, candidate, timeout_s=60)
        assert built is not None, result.message
    # Of another operator nothing fits, and nothing is harmed.
    assert other.name != convolution.name
    searcher.open("unlike", other, device.target, SMALL, (), (), 120)
    assert searcher.propose("unlike", 2, None, 120, lent)
    searcher.close("unlike")


def test_a_history_that_does_not_apply_any_more_teaches_nothing_and_harms_nothing(
    searcher: SearchActor, convolution: Workload, device: DeviceInfo
) -> None:
    stale = Record(Candidate("stale", '[[["NoSuchInstruction",[],[],[]]],[]]'), (1e-6,))
    assert searcher.open("stale", convolution, device.target, SMALL, (stale,), (), 120) == b""
    assert searcher.propose("stale", 2, None, 120)
    searcher.close("stale")


def test_a_space_without_decisions_is_used_up_after_its_candidates(
    searcher: SearchActor, builder: BuildActor, extraction: Extraction, device: DeviceInfo
) -> None:
    reshape = min(extraction.tasks, key=lambda task: task.workload.flops).workload
    searcher.open("reshape", reshape, device.target, SMALL, (), (), 120)
    # One with threads, one without.
    both = searcher.propose("reshape", 16, None, 120)
    assert len(both) == 2
    assert searcher.propose("reshape", 16, None, 120) == ()
    searcher.close("reshape")
    for candidate in both:
        result, built = builder.build(reshape, device.target, candidate, timeout_s=60)
        assert built is not None, result.message
    # Another campaign knows what this one has measured, and is given the rest, in rounds of any size.
    for known in both:
        (other,) = set(both) - {known}
        tried = replace(SMALL, exclude=frozenset({known.hash}))
        searcher.open("reshape", reshape, device.target, tried, (), (), 120)
        assert searcher.propose("reshape", 1, None, 120) == (other,)
        assert searcher.propose("reshape", 1, None, 120) == ()
        searcher.close("reshape")


def test_a_search_whose_process_was_closed_is_lost(searcher: SearchActor) -> None:
    with pytest.raises(EngineLostError):
        searcher.propose("never opened", 4, None, 10)


# -- building


def test_a_candidate_that_does_not_fit_is_a_build_error(
    builder: BuildActor, convolution: Workload, device: DeviceInfo
) -> None:
    nonsense = Candidate("x", '[[["NoSuchInstruction",[],[],[]]],[]]')
    result, artifact = builder.build(convolution, device.target, nonsense, 60)
    assert result.state is TrialState.BUILD_ERROR
    assert "NoSuchInstruction" in result.message
    assert artifact is None


def test_a_build_past_its_limit_is_killed_and_says_what_it_was_doing(
    builder: BuildActor, convolution: Workload, device: DeviceInfo, candidates: tuple[Candidate, ...]
) -> None:
    result, artifact = builder.build(convolution, device.target, candidates[0], 0.02)
    assert result.state is TrialState.BUILD_TIMEOUT
    assert "killed after 0.02 s while" in result.message
    assert artifact is None


# -- measuring


def test_candidates_are_timed_through_the_tracker(
    measurer: MeasureActor, device: DeviceInfo, artifact: Artifact
) -> None:
    measured = measurer.measure(artifact, Station(device.device_class, device), EVALUATOR)
    assert measured.state is TrialState.OK, measured.message
    assert len(measured.times) == EVALUATOR.repeat
    assert 0 < measured.times[0] < 0.1
    assert measured.device == device.device_class


@pytest.mark.parametrize("dtype", [TensorProto.INT64, TensorProto.INT32])
def test_a_lookup_in_a_table_is_measured_with_indices_that_exist(
    engine: EngineClient,
    searcher: SearchActor,
    builder: BuildActor,
    measurer: MeasureActor,
    device: DeviceInfo,
    tmp_path: Path,
    dtype: int,
) -> None:
    table = numpy_helper.from_array(np.ones((10, 16), "float32"), "table")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "at"], ["y"])],
        "g",
        [helper.make_tensor_value_info("at", dtype, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 16])],
        [table],
    )
    onnx.save(helper.make_model(graph, ir_version=8), tmp_path / "lookup.onnx")
    prepared = prepare(str(tmp_path / "lookup.onnx"), {})
    tasks = engine.extract(prepared, device.target).tasks
    (take,) = [task.workload for task in tasks if "take" in task.name]
    searcher.open("lookup", take, device.target, SMALL, (), (), 120)
    (candidate, *_) = searcher.propose("lookup", 1, None, 120)
    searcher.close("lookup")
    result, built = builder.build(take, device.target, candidate, 60)
    assert built is not None, result.message
    good(measurer.measure(built, Station(device.device_class, device), EVALUATOR))


def test_a_candidate_far_behind_the_best_is_not_timed_in_full(
    measurer: MeasureActor, device: DeviceInfo, written_in_c: Callable[[str], Artifact]
) -> None:
    slow, station = written_in_c("usleep(20000);"), Station(device.device_class, device)
    thorough = type(EVALUATOR)(number=3, repeat=4, min_repeat_ms=50, timeout_s=10.0)
    stopped = measurer.measure(slow, station, thorough, best_known_s=0.001)
    assert stopped.state is TrialState.OK
    assert len(stopped.times) == 3
    assert min(stopped.times) >= 0.02
    assert stopped.message.startswith("stopped early: ")
    near = measurer.measure(slow, station, thorough, best_known_s=0.019)
    assert (len(near.times), near.message) == (4, "")


def test_what_takes_a_whole_repeat_at_the_first_look_is_not_looked_at_again(
    measurer: MeasureActor, device: DeviceInfo, written_in_c: Callable[[str], Artifact]
) -> None:
    slow = written_in_c("usleep(20000);")
    stopped = measurer.measure(slow, Station(device.device_class, device), EVALUATOR, best_known_s=0.001)
    assert len(stopped.times) == 1


def test_a_built_candidate_does_not_check_its_arguments(artifact: Artifact) -> None:
    # These checks take longer to compile than a small kernel, and each has a message of its own.
    assert b"__tvm_ffi_main" in artifact.data
    assert b"Mismatched" not in artifact.data


def good(measured: Measurement) -> None:
    assert measured.state is TrialState.OK, measured.message


def test_a_candidate_that_segfaults_costs_one_trial(
    measurer: MeasureActor, device: DeviceInfo, artifact: Artifact, written_in_c: Callable[[str], Artifact]
) -> None:
    crashing = written_in_c("*(volatile int*)0 = 1;")
    for _ in range(3):
        failed = measurer.measure(crashing, Station(device.device_class, device), EVALUATOR)
        assert failed.state is TrialState.RUN_ERROR
        assert failed.message
    good(measurer.measure(artifact, Station(device.device_class, device), EVALUATOR))


def test_many_segfaults_in_a_row_do_not_use_the_device_up(
    measurer: MeasureActor,
    device: DeviceInfo,
    artifact: Artifact,
    written_in_c: Callable[[str], Artifact],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.actors.measure.MAX_RESTARTS", 1)
    crashing = written_in_c("abort();")
    states = {
        measurer.measure(crashing, Station(device.device_class, device), EVALUATOR).state for _ in range(4)
    }
    assert states == {TrialState.RUN_ERROR}
    good(measurer.measure(artifact, Station(device.device_class, device), EVALUATOR))


def test_a_candidate_that_never_ends_is_killed_at_its_limit(
    measurer: MeasureActor, device: DeviceInfo, artifact: Artifact, written_in_c: Callable[[str], Artifact]
) -> None:
    endless = written_in_c("for (;;) { volatile int i = 0; }")
    limited = type(EVALUATOR)(min_repeat_ms=5, timeout_s=2.0)
    failed = measurer.measure(endless, Station(device.device_class, device), limited)
    assert failed.state is TrialState.RUN_TIMEOUT
    assert failed.run_s < 10
    good(measurer.measure(artifact, Station(device.device_class, device), EVALUATOR))


def test_a_candidate_that_ends_its_process_costs_one_trial(
    measurer: MeasureActor, device: DeviceInfo, artifact: Artifact, written_in_c: Callable[[str], Artifact]
) -> None:
    failed = measurer.measure(written_in_c("_exit(0);"), Station(device.device_class, device), EVALUATOR)
    assert failed.state is TrialState.RUN_ERROR
    good(measurer.measure(artifact, Station(device.device_class, device), EVALUATOR))


def test_what_cannot_be_loaded_is_a_run_error(
    measurer: MeasureActor, device: DeviceInfo, artifact: Artifact
) -> None:
    broken = Artifact(b"no library", ".so", artifact.args)
    failed = measurer.measure(broken, Station(device.device_class, device), EVALUATOR)
    assert failed.state is TrialState.RUN_ERROR
    good(measurer.measure(artifact, Station(device.device_class, device), EVALUATOR))


# -- whole models


@pytest.fixture(scope="module")
def records(searcher: SearchActor, extraction: Extraction, device: DeviceInfo) -> dict[str, Candidate]:
    """A candidate for every workload of the tiny model."""
    found = {}
    for task in extraction.tasks:
        searcher.open("records", task.workload, device.target, SMALL, (), (), 120)
        (found[task.workload.hash],) = searcher.propose("records", 1, None, 120)
        searcher.close("records")
    return found


@pytest.mark.parametrize("tuned", [True, False])
@pytest.mark.parametrize("beside", [True, False])
def test_a_library_agrees_with_onnxruntime_and_says_what_is_tuned_in_it(
    engine: EngineClient,
    model: PreparedModel,
    device: DeviceInfo,
    extraction: Extraction,
    records: dict[str, Candidate],
    tuned: bool,
    beside: bool,
) -> None:
    applied = plan(records if tuned else {})
    compiled = engine.compile(model, device.target, applied, beside).result()
    everything = set(hashes(extraction))
    assert set(compiled.tuned) == (everything if tuned else set())
    assert set(compiled.untuned) == (set() if tuned else everything)
    inputs = random_inputs(model.inputs, seed=3)
    run = engine.run(compiled, inputs, device.target, 3, 1)
    difference = compare(
        run.outputs, run_reference(model.onnx, inputs, 1), names=[spec.name for spec in model.outputs]
    )
    assert difference.ok, difference.reason
    assert len(run.times) == 3
    if beside:
        assert compiled.params is not None
        with np.load(io.BytesIO(compiled.params)) as archive:
            # Whatever layout they were put into, the weights of the model are there.
            assert sum(archive[name].size for name in archive.files) >= 4 * 27 + 4 * 64 * 5
    else:
        assert compiled.params is None


def test_a_record_of_a_kernel_the_model_has_not_is_not_called_applied(
    engine: EngineClient, model: PreparedModel, device: DeviceInfo, records: dict[str, Candidate]
) -> None:
    strange = plan({"0" * 32: next(iter(records.values()))})
    compiled = engine.compile(model, device.target, strange).result()
    assert compiled.tuned == ()


def test_a_workload_and_a_schedule_can_be_read_by_people(
    engine: EngineClient, convolution: Workload, candidates: tuple[Candidate, ...]
) -> None:
    assert "def main" in engine.describe(convolution)
    assert "sch.get_sblock" in engine.describe(convolution, candidates[0])


# -- targets


def resolve(engine: EngineClient, spec: str) -> DeviceInfo:
    return engine.resolve_target(spec)


def test_the_machine_s_own_target_has_its_cpu_and_its_cores(device: DeviceInfo) -> None:
    target = json.loads(device.target)
    assert target["kind"] == "llvm"
    assert target["mcpu"]
    assert target["num-cores"] == device.cores >= 1
    assert (device.kind, device.unfit) == ("cpu", "")


def test_a_resolved_target_resolves_to_itself(engine: EngineClient, device: DeviceInfo) -> None:
    assert resolve(engine, device.target) == device


def test_the_ways_to_write_a_target_mean_the_same(engine: EngineClient) -> None:
    options = resolve(engine, "llvm -mcpu=haswell -num-cores=3")
    spelt = resolve(engine, '{"kind": "llvm", "mcpu": "haswell", "num-cores": 3}')
    assert options == spelt
    assert options.cores == 3


def test_what_differs_in_its_target_is_another_device_class(engine: EngineClient) -> None:
    classes = {
        resolve(engine, spec).device_class
        for spec in (
            "llvm -mcpu=haswell -num-cores=1",
            "llvm -mcpu=haswell -num-cores=2",
            "llvm -mcpu=skylake -num-cores=1",
        )
    }
    assert len(classes) == 3


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("lvm", "lvm"),
        ("llvm -mcpu=no-such-cpu", "no-such-cpu"),
        ("llvm -mcpu", "-mcpu=VALUE"),
        ("llvm -no-such-option=1", "no-such-option"),
        ('{"kind": ', "JSON"),
        ('{"kind": "nothing"}', "nothing"),
    ],
)
def test_a_target_tvm_does_not_know_is_refused_with_its_text(
    engine: EngineClient, spec: str, said: str
) -> None:
    with pytest.raises(TargetError) as caught:
        resolve(engine, spec)
    assert said in str(caught.value)
    assert spec in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_engine_says_what_a_measurement_depends_on(engine: EngineClient) -> None:
    assert set(ToolchainClient(engine.process).versions()) >= {"tvm", "llvm", "engine"}
