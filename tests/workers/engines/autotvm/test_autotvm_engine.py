"""The AutoTVM engine on real classic TVM: from a model to tasks, candidates, times and a library."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.model_zoo import fetch
from tests.kit.quantized_models import QUANTIZED
from workers.actors import BuildActor, MeasureActor, SearchActor
from workers.clients import EngineClient
from workers.errors import ModelError, UsageError
from workers.messages import (
    Candidate,
    DeviceInfo,
    EvaluatorConfig,
    Extraction,
    PreparedModel,
    Record,
    RecordChoice,
    Scalar,
    SearchOptions,
    Station,
    TrialState,
    Workload,
)
from workers.models import compare, output_steps, prepare, random_inputs, run_reference
from workers.process.engine_process import EngineProcess

TUNERS = ("xgb", "xgb_knob", "xgb_itervar", "xgb_curve", "ga", "random", "gridsearch")
EVALUATOR = EvaluatorConfig(min_repeat_ms=5, timeout_s=10.0)
# The same tuner on other features of a candidate.
_VARIANTS = ("xgb_knob", "xgb_itervar", "xgb_curve")
_SLOW = pytest.mark.slow


def hashes(extraction: Extraction) -> list[str]:
    return [task.workload.hash for task in extraction.tasks]


def index_of(candidate: Candidate) -> int:
    return int(json.loads(candidate.trace)["index"])


# -- tasks and their names


@pytest.mark.slow
def test_a_real_model_has_the_tasks_that_are_known_of_it_and_any_process_finds_them(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path
) -> None:
    model = prepare(str(fetch("light_squeezenet", tmp_path)), {})
    with EngineProcess("autotvm", "model") as other:
        both = [one.submit("model.extract", model, device.target) for one in (engine.process, other)]
        found, again = (future.result() for future in both)
    assert len(found.tasks) == len(set(hashes(found))) == 18
    # Each of its 26 convolutions, by how often its shape is there.
    assert sum(task.weight for task in found.tasks) == 26
    assert [(task.workload.hash, task.weight) for task in again.tasks] == [
        (task.workload.hash, task.weight) for task in found.tasks
    ]


def test_weights_of_a_model_do_not_matter_and_shapes_do(extract: Extract) -> None:
    found = hashes(extract())
    assert len(found) == 2
    assert hashes(extract(seed=9)) == found
    assert not set(hashes(extract(pixels=6))) & set(found)


# -- searching


Extract = Callable[..., Extraction]
Search = Callable[..., AbstractContextManager["Searching"]]


class Searching:
    """An open search, and what it is told: times that depend on nothing but the configuration."""

    def __init__(self, actor: SearchActor, session: str) -> None:
        self._actor, self._session = actor, session

    def propose(self, count: int) -> list[Candidate]:
        return list(self._actor.propose(self._session, count, None, 60))

    def learn(self, candidates: list[Candidate]) -> None:
        self._actor.learn(self._session, tuple(map(record, candidates)), 60)

    def rounds(self, number: int, count: int) -> list[Candidate]:
        found: list[Candidate] = []
        for _ in range(number):
            proposed = self.propose(count)
            assert 0 < len(proposed) <= count
            self.learn(proposed)
            found += proposed
        return found


def record(candidate: Candidate) -> Record:
    if index_of(candidate) % 5 == 4:
        return Record(candidate, (), TrialState.RUN_ERROR)
    return Record(candidate, (1e-6 * (1 + index_of(candidate) % 7),))


@pytest.fixture(scope="module")
def search(searcher: SearchActor, device: DeviceInfo) -> Search:
    """Opens a search for a `with`."""

    @contextmanager
    def opened(
        workload: Workload,
        history: tuple[Record, ...] = (),
        related: tuple[tuple[Workload, Record], ...] = (),
        *,
        seed: int = 1,
        exclude: frozenset[str] = frozenset(),
        **settings: Scalar,
    ) -> Iterator[Searching]:
        wanted = SearchOptions(seed, exclude, settings)
        searcher.open("search", workload, device.target, wanted, history, related, 120)
        try:
            yield Searching(searcher, "search")
        finally:
            searcher.close("search")

    return opened


@pytest.fixture(scope="module")
def everything(search: Search, workload: Workload) -> list[Candidate]:
    """All candidates of the workload, in the order of their space."""
    with search(workload, tuner="gridsearch") as searching:
        found = searching.propose(5000)
    assert 100 < len(found) < 5000
    return sorted(found, key=index_of)


@pytest.fixture(scope="module")
def fallback(search: Search, workload: Workload) -> Candidate:
    """What classic TVM takes where it has no record."""
    with search(workload) as searching:
        (found,) = searching.propose(1)
    return found


@pytest.mark.parametrize(
    ("tuner", "loss"),
    [
        # Of XGBoost's features one is enough on every change.
        *(pytest.param(tuner, "", marks=_SLOW if tuner in _VARIANTS else ()) for tuner in TUNERS),
        pytest.param("xgb", "rank-binary", marks=_SLOW),
    ],
)
def test_each_tuner_proposes_the_fallback_and_then_ever_new_candidates(
    search: Search,
    workload: Workload,
    fallback: Candidate,
    everything: list[Candidate],
    tuner: str,
    loss: str,
) -> None:
    # Half of what there is was tried in an earlier campaign.
    tried = frozenset(c.hash for c in everything[::2]) - {fallback.hash}
    with search(workload, tuner=tuner, loss=loss, plan_size=4, exclude=tried) as searching:
        found = searching.rounds(3, 4)
    assert found[0] == fallback
    assert len(found) >= 6
    assert len({candidate.hash for candidate in found}) == len(found)
    assert not tried & {candidate.hash for candidate in found}


def test_a_fallback_that_was_tried_before_is_not_tried_again(
    search: Search, workload: Workload, fallback: Candidate
) -> None:
    with search(workload, exclude=frozenset({fallback.hash}), plan_size=4) as searching:
        assert fallback not in searching.propose(4)


@pytest.mark.parametrize(
    "tuner", [*(pytest.param(name, marks=_SLOW) for name in ("xgb_knob", "ga")), "random", "gridsearch"]
)
def test_a_small_space_is_used_up_to_the_last_candidate(search: Search, extract: Extract, tuner: str) -> None:
    tiny = max(extract(channels=(1, 3, 4)).tasks, key=lambda task: task.workload.flops)
    with search(tiny.workload, tuner="gridsearch") as searching:
        everything = {candidate.hash for candidate in searching.propose(1000)}
    assert 40 < len(everything) < 60
    found: list[Candidate] = []
    with search(tiny.workload, tuner=tuner, plan_size=4) as searching:
        while proposed := searching.propose(4):
            found += proposed
            searching.learn(proposed)
        assert searching.propose(4) == []
    assert len(found) == len({candidate.hash for candidate in found})
    assert {candidate.hash for candidate in found} == everything


def test_the_genetic_tuner_waits_for_the_results_of_its_generation(
    search: Search, workload: Workload
) -> None:
    with search(workload, tuner="ga", plan_size=8) as searching:
        first = searching.propose(16)
        # The fallback and a generation, which is all that can be known without results.
        assert len(first) in (8, 9)
        assert searching.propose(16) == []
        searching.learn(first[:4])
        assert searching.propose(16) == []
        searching.learn(first[4:])
        second = searching.propose(16)
    assert 0 < len(second) <= 8
    assert not {candidate.hash for candidate in first} & {candidate.hash for candidate in second}


@pytest.mark.parametrize("plan_size", [1, 2])
def test_the_genetic_tuner_takes_a_generation_of_any_size(
    search: Search, workload: Workload, plan_size: int
) -> None:
    with search(workload, tuner="ga", plan_size=plan_size) as searching:
        found = searching.rounds(4, 4)
    assert len({candidate.hash for candidate in found}) == len(found) >= 4


def test_a_search_with_the_same_seed_proposes_the_same_and_with_another_seed_others(
    search: Search, workload: Workload
) -> None:
    found = []
    for seed in (1, 1, 2):
        with search(workload, seed=seed, tuner="random") as searching:
            found.append(searching.rounds(2, 4))
    assert found[0] == found[1] != found[2]


def test_a_cost_model_finds_what_its_results_point_at(
    search: Search, workload: Workload, everything: list[Candidate]
) -> None:
    """One choice makes a candidate ten times as fast: a search that learned so proposes little else."""
    values = [json.loads(candidate.trace)["entity"] for candidate in everything]
    unrolled = {
        c.hash for c, entity in zip(everything, values, strict=True) if ["unroll_kw", "ot", True] in entity
    }
    assert len(unrolled) == len(everything) // 2
    history = tuple(Record(c, (1e-6 if c.hash in unrolled else 1e-5,)) for c in everything[::3])
    exclude = frozenset(r.candidate.hash for r in history)
    with search(workload, history, tuner="xgb_knob", plan_size=16, exclude=exclude) as searching:
        found = [c for c in searching.propose(9) if c.hash in unrolled]
    assert len(found) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [3, 1])
def test_records_of_other_shapes_start_a_search_or_harm_nothing(
    search: Search, workload: Workload, extract: Extract, kernel: int
) -> None:
    """Those of 1x1 kernels have another schedule with fewer loops: nothing can be learned from them."""
    other = max(extract(kernel=kernel, pixels=10).tasks, key=lambda task: task.workload.flops).workload
    assert (other.name, other.hash == workload.hash) == (workload.name, False)
    with search(other, tuner="gridsearch") as searching:
        related = tuple((other, Record(c, (1e-6 * (1 + index_of(c) % 7),))) for c in searching.propose(80))
    assert len(related) == 80
    with search(workload, tuner="xgb", plan_size=4) as searching:
        alone = searching.propose(4)
    with search(workload, related=related, tuner="xgb", plan_size=4) as searching:
        started = searching.rounds(2, 4)
    assert (started[:4] == alone) == (kernel == 1)
    assert len(started) == 8


@pytest.mark.parametrize(
    ("tuner", "wanted"), [("", True), ("xgb_knob", True), ("ga", False), ("random", False)]
)
def test_records_of_other_workloads_are_wanted_by_tuners_with_a_cost_model(
    engine: EngineClient, tuner: str, wanted: bool
) -> None:
    assert engine.traits.transfers_with(SearchOptions(settings={"tuner": tuner})) is wanted


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (SearchOptions(settings={"tuner": "annealing"}), TUNERS),
        (SearchOptions(settings={"loss": "rank"}), ("reg", "rank-binary", "xgboost 2")),
        (SearchOptions(settings={"tuner": "ga", "loss": "reg"}), ("ga", "no cost model")),
        (SearchOptions(settings={"plan_size": -1}), ("plan size", "-1")),
    ],
)
def test_options_that_mean_nothing_here_are_refused_with_what_there_is(
    engine: EngineClient, options: SearchOptions, said: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError) as caught:
        engine.traits.settings_of(options)
    assert all(word in str(caught.value) for word in said)


# -- building and measuring


def test_a_candidate_is_built_and_timed_through_the_tracker(
    builder: BuildActor, measurer: MeasureActor, workload: Workload, device: DeviceInfo, fallback: Candidate
) -> None:
    result, artifact = builder.build(workload, device.target, fallback, 60)
    assert artifact is not None, result.message
    measured = measurer.measure(artifact, Station(device.device_class, device), EVALUATOR)
    assert measured.state is TrialState.OK, measured.message
    assert len(measured.times) == EVALUATOR.repeat
    assert 0 < measured.times[0] < 0.1


@pytest.mark.parametrize(
    ("knob", "value", "said"),
    [
        # Such a kernel would be compiled, and compute 14 of 16 channels.
        ("tile_oc", [-1, 7], "tile_oc: [-1, 7]"),
        ("tile_ow", None, "tile_ow"),
        ("unroll_kw", "perhaps", "unroll_kw: perhaps"),
    ],
)
def test_a_candidate_that_does_not_fit_its_workload_is_a_build_error_with_a_reason(
    builder: BuildActor,
    workload: Workload,
    device: DeviceInfo,
    fallback: Candidate,
    knob: str,
    value: object,
    said: str,
) -> None:
    described = json.loads(fallback.trace)
    changed = [[name, kind, value if name == knob else old] for name, kind, old in described["entity"]]
    described["entity"] = [entity for entity in changed if entity[2] is not None]
    result, artifact = builder.build(workload, device.target, Candidate("x", json.dumps(described)), 60)
    assert (result.state, artifact) == (TrialState.BUILD_ERROR, None)
    assert said in result.message


# -- whole models


@pytest.mark.parametrize("tuned", [True, pytest.param(False, marks=_SLOW)])
def test_weights_beside_the_library_give_what_weights_inside_give(
    engine: EngineClient,
    prepared: Callable[..., PreparedModel],
    extract: Extract,
    search: Search,
    device: DeviceInfo,
    tuned: bool,
) -> None:
    model, records = prepared(), {}
    for task in extract().tasks if tuned else ():
        with search(task.workload, tuner="random") as searching:
            records[task.workload.hash] = Record(searching.propose(3)[-1], (1e-6,))
    inputs = random_inputs(model.inputs, seed=3)
    outputs = []
    for beside in (False, True):
        compiled = engine.compile(model, device.target, RecordChoice("some", records), beside).result()
        assert set(compiled.tuned) == set(records)
        assert (compiled.params is not None) == beside
        run = engine.run(compiled, inputs, device.target, 3, 1)
        assert len(run.times) == 3
        outputs.append(run.outputs)
    assert compiled.params is not None
    with np.load(io.BytesIO(compiled.params)) as archive:
        # Whatever layout they were put into, the weights of the model are there.
        assert sum(archive[name].size for name in archive.files) >= 9 * (3 * 8 + 8 * 16)
    assert all(np.array_equal(a, b) for a, b in zip(*outputs, strict=True))
    expected = run_reference(model.onnx, inputs, 1)
    difference = compare(outputs[0], expected, names=[spec.name for spec in model.outputs])
    assert difference.ok, difference.reason


def test_a_workload_and_a_configuration_can_be_read_by_people(
    engine: EngineClient, workload: Workload, fallback: Candidate
) -> None:
    assert "conv2d_NCHWc" in engine.describe(workload)
    assert "tile_oc: " in engine.describe(workload, fallback)


# -- quantized models


def test_a_quantized_operator_that_classic_tvm_misreads_is_refused_by_name(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path
) -> None:
    path = tmp_path / "integers.onnx"
    path.write_bytes(QUANTIZED["a convolution of integers"].model().SerializeToString())
    with pytest.raises(
        ModelError, match=r"ConvInteger's sums \(node .* of integers\); quantize the model stati"
    ):
        engine.extract(prepare(str(path)), device.target)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["a convolution, each channel by itself", "a layer", "a product of integers", "packed in 4 bits"]
)
def test_a_quantized_model_is_built_and_right(
    name: str, engine: EngineClient, device: DeviceInfo, tmp_path: Path
) -> None:
    model, path = QUANTIZED[name].model(), tmp_path / "quantized.onnx"
    path.write_bytes(model.SerializeToString())
    prepared = prepare(str(path))
    compiled = engine.compile(prepared, device.target, RecordChoice("untuned")).result()
    inputs = random_inputs(prepared.inputs, 3)
    run = engine.run(compiled, inputs, device.target)
    found = compare(run.outputs, run_reference(path.read_bytes(), inputs, 1), steps=output_steps(model))
    assert found.ok, found.reason


# -- candidates compared with the kernel without a configuration


@pytest.mark.slow
def test_candidates_with_any_blocks_compute_what_the_fallback_computes(
    builder: BuildActor,
    measurer: MeasureActor,
    workload: Workload,
    device: DeviceInfo,
    everything: list[Candidate],
) -> None:
    # Their results have their channels in other blocks than the fallback's.
    for candidate in everything[:: len(everything) // 4]:
        result, artifact = builder.build(workload, device.target, candidate, 60, checked=True)
        assert artifact is not None, result.message
        assert artifact.check
        measured = measurer.measure(artifact, Station(device.device_class, device), EVALUATOR)
        assert measured.state is TrialState.OK, measured.message


def test_a_candidate_whose_output_differs_is_a_wrong_output(
    builder: BuildActor,
    measurer: MeasureActor,
    engine: EngineClient,
    device: DeviceInfo,
    tmp_path: Path,
) -> None:
    workload, candidate = engine.known_kernel(device.target)
    result, artifact = builder.build(workload, device.target, candidate, 60, checked=True)
    assert artifact is not None, result.message
    # What no configuration can be relied on to do: one function adds to what the other leaves alone.
    head = "int {}(void** args, int* types, int count, void* out, int* out_type, void* self)"
    source = f"{head.format('plain')} {{ return 0; }}\n"
    source += f"{head.format('scheduled')} {{ (*(float**)args[2])[7] += 1e6; return 0; }}\n"
    (tmp_path / "check.c").write_text(source)
    library = tmp_path / "check.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(tmp_path / "check.c")], check=True)
    wrong = replace(artifact, check=library.read_bytes())
    measured = measurer.measure(wrong, Station(device.device_class, device), EVALUATOR)
    assert (measured.state, measured.times) == (TrialState.WRONG_OUTPUT, ()), measured.message
    assert "argument 2 is off by 1e+06" in measured.message
