"""What every engine does, held against each of them: the one in plain C, MetaSchedule, AutoTVM.

Another engine is another name in :data:`ENGINES`, and a folder where it lies if that is elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import pytest
from onnx import helper

from tests.kit.chains import save_chain
from tests.kit.measuring import EVALUATOR
from workers.actors import state_of
from workers.clients import DevicesClient, EngineClient, MeasureClient, OpenSearch, SearchClient, Service
from workers.environments.packages import VARIABLE
from workers.errors import EngineError, ModelError, TargetError, TunefleetError, UsageError
from workers.messages import (
    Artifact,
    Candidate,
    Endpoint,
    Extraction,
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

ENGINES = ("toy", "metaschedule", "autotvm")
#: Where those lie that are not tunefleet's own.
ELSEWHERE = Path(__file__).parents[1] / "kit" / "toy_engine"
HOST = "127.0.0.1"
SECONDS = 120.0


@dataclass(frozen=True)
class World:
    """An engine's processes, and what they made of one model."""

    name: str
    engine: EngineClient
    searches: EngineProcess
    measures: EngineProcess
    tracker: tuple[str, int]
    station: Station
    model: PreparedModel
    extraction: Extraction

    @property
    def target(self) -> str:
        return self.station.device.target

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(*self.tracker, self.station.key, self.station.device.kind)

    @property
    def workload(self) -> Workload:
        """The heaviest."""
        return max((task.workload for task in self.extraction.tasks), key=lambda workload: workload.flops)

    def search(self, name: str, options: SearchOptions | None = None) -> OpenSearch:
        opened = OpenSearch(self.searches, name, timeout_s=SECONDS)
        opened.open(self.workload, self.target, options or SearchOptions())
        return opened

    def build(self, candidate: Candidate) -> Artifact:
        return self.engine.build(self.workload, self.target, candidate)


@pytest.fixture(scope="module", params=ENGINES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    name: str = request.param
    if name == "autotvm":
        request.getfixturevalue("autotvm_environment")
    model = prepare(str(save_chain(tmp_path_factory.mktemp("model") / "chain.onnx")), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(ELSEWHERE))
        with (
            EngineProcess(name, "model") as process,
            EngineProcess(name, "search") as searches,
            EngineProcess(name, "measure") as measures,
        ):
            engine = EngineClient(process)
            device = engine.resolve_target("auto")
            station = Station(device.device_class, device)
            tracker = Service(measures, "tracker").serve_tracker(HOST)
            Service(measures, station.key).serve_device(HOST, tracker, station)
            extraction = engine.extract(model, device.target)
            yield World(name, engine, searches, measures, tracker, station, model, extraction)


@pytest.fixture(scope="module")
def candidates(world: World) -> tuple[Candidate, ...]:
    search = world.search("first")
    found = search.propose(4, None)
    search.close()
    return found


@pytest.fixture(scope="module")
def artifact(world: World, candidates: tuple[Candidate, ...]) -> Artifact:
    return world.build(candidates[0])


# -- traits


def test_an_engine_says_what_its_searches_can_be_told(world: World) -> None:
    traits = world.engine.traits
    assert traits.name == world.name
    assert traits.settings_of(SearchOptions()) == {s.name: s.default for s in traits.settings}
    assert all(setting.help and not setting.help.count("\n") for setting in traits.settings)
    assert isinstance(traits.transfers_with(SearchOptions()), bool)


def test_a_setting_that_it_does_not_have_is_refused_with_those_it_has(world: World) -> None:
    with pytest.raises(UsageError, match="no_such_thing") as refused:
        world.engine.traits.settings_of(SearchOptions(settings={"no_such_thing": 1}))
    assert world.name in str(refused.value)
    assert all(setting.name in str(refused.value) for setting in world.engine.traits.settings)


def test_a_value_that_a_setting_cannot_have_is_refused_and_opens_no_search(world: World) -> None:
    number = next(s for s in world.engine.traits.settings if isinstance(s.default, int))
    options = SearchOptions(settings={number.name: "many"})
    with pytest.raises(UsageError, match="'many'"):
        world.engine.traits.settings_of(options)
    with pytest.raises(UsageError, match="'many'"):
        world.search("refused", options)


def test_a_layout_that_it_does_not_have_is_refused(world: World) -> None:
    world.engine.traits.check_layout("auto")
    with pytest.raises(UsageError, match="sideways"):
        world.engine.traits.check_layout("sideways")


def test_an_engine_says_what_tasks_and_measurements_depend_on(world: World) -> None:
    assert world.engine.engine_version()
    assert world.engine.engine_version() == world.extraction.engine_version


# -- targets


def test_a_resolved_target_resolves_to_itself(world: World) -> None:
    device = world.station.device
    assert world.engine.resolve_target(device.target) == device
    assert device.device_class
    assert not device.unfit


def test_a_target_that_it_does_not_know_is_refused_with_its_text(world: World) -> None:
    with pytest.raises(TargetError, match="no-such-kind"):
        world.engine.resolve_target("no-such-kind")


def test_its_own_machine_is_fit_for_its_own_target(world: World) -> None:
    assert world.engine.unfit(world.target, world.endpoint) == ""


def test_a_kernel_is_known_that_a_device_can_be_known_by(world: World) -> None:
    workload, candidate = world.engine.known_kernel(world.target)
    assert world.engine.known_kernel(world.target) == (workload, candidate)
    built = world.engine.build(workload, world.target, candidate)
    assert min(MeasureClient(world.measures).measure(built, world.endpoint, EVALUATOR).times) > 0


# -- tasks


def test_any_process_finds_the_same_tasks(world: World) -> None:
    again = EngineClient(world.searches).extract(world.model, world.target)
    assert [(t.name, t.weight, t.workload.hash) for t in again.tasks] == [
        (t.name, t.weight, t.workload.hash) for t in world.extraction.tasks
    ]
    # An engine may know several ways for one product.
    assert len({task.workload.hash for task in again.tasks}) == len(again.tasks) >= 3
    assert all(task.workload.engine == world.name for task in again.tasks)


def test_weights_do_not_matter_and_shapes_do(world: World, tmp_path: Path) -> None:
    def hashes(**what: int) -> set[str]:
        model = prepare(str(save_chain(tmp_path / "other.onnx", **what)), {})  # type: ignore[arg-type]
        return {task.workload.hash for task in world.engine.extract(model, world.target).tasks}

    mine = {task.workload.hash for task in world.extraction.tasks}
    assert hashes(seed=5) == mine
    assert not hashes(rows=24) & mine


def test_a_model_that_it_cannot_import_is_refused(world: World) -> None:
    graph = onnx.load_from_string(world.model.onnx)
    graph.graph.node[0].CopyFrom(
        helper.make_node("NoSuchOperator", graph.graph.node[0].input, graph.graph.node[0].output)
    )
    with pytest.raises(ModelError, match="NoSuchOperator"):
        world.engine.extract(replace(world.model, onnx=graph.SerializeToString()), world.target)


# -- searching


def test_a_search_proposes_different_candidates_and_the_same_with_the_same_seed(
    world: World, candidates: tuple[Candidate, ...]
) -> None:
    assert len({candidate.hash for candidate in candidates}) == len(candidates) == 4
    again = world.search("again")
    assert again.propose(4, None) == candidates
    again.close()


def test_what_was_tried_before_is_not_proposed_again(world: World, candidates: tuple[Candidate, ...]) -> None:
    tried = frozenset(candidate.hash for candidate in candidates)
    search = world.search("more", SearchOptions(exclude=tried))
    found = {candidate.hash for candidate in search.propose(4, None)}
    search.close()
    assert found
    assert not found & tried


def test_results_are_learned_and_a_search_goes_on(world: World, candidates: tuple[Candidate, ...]) -> None:
    search = world.search("learns")
    first = search.propose(4, None)
    assert first == candidates
    *good, failed = first
    records = [Record(c, (1e-5 * (n + 1),)) for n, c in enumerate(good)]
    records.append(Record(failed, (), TrialState.RUN_ERROR))
    samples = search.learn(tuple(records))
    model = SearchClient(world.searches, timeout_s=SECONDS).train((samples,), 1) if samples else None
    more = search.propose(4, model)
    search.close()
    assert more
    assert not set(more) & set(first)


def test_records_of_other_workloads_harm_nothing(world: World, candidates: tuple[Candidate, ...]) -> None:
    others = [task.workload for task in world.extraction.tasks if task.workload != world.workload]
    related = tuple((other, Record(candidate, (1e-5,))) for other in others for candidate in candidates)
    search = world.search("related")
    if world.engine.traits.transfers_with(SearchOptions()):
        search.transfer(related)
    if world.engine.traits.lends:
        search.lend(related)
    assert search.propose(2, None)
    search.close()


# -- building and measuring


def test_workloads_and_candidates_can_be_read_by_people(
    world: World, candidates: tuple[Candidate, ...]
) -> None:
    texts = {world.engine.describe(world.workload, candidate) for candidate in (None, candidates[0])}
    assert len(texts) == 2
    assert all(texts)


def test_a_candidate_that_is_none_is_refused_by_the_build(world: World) -> None:
    with pytest.raises(EngineError) as refused:
        world.build(Candidate("nonsense", '{"nonsense": true}'))
    assert refused.value.stage


def test_a_candidate_is_timed_through_the_tracker(world: World, artifact: Artifact) -> None:
    evaluator = replace(EVALUATOR, repeat=3)
    timing = MeasureClient(world.measures).measure(artifact, world.endpoint, evaluator)
    assert len(timing.times) == 3
    assert all(0 < seconds < 0.1 for seconds in timing.times)
    assert not timing.stopped


def test_candidates_are_compared_where_an_engine_says_that_it_can(
    world: World, candidates: tuple[Candidate, ...]
) -> None:
    traits, kind = world.engine.traits, world.station.device.kind
    if kind in traits.compares_on:
        traits.check_comparison(kind)
        artifact = world.engine.build_checked(world.workload, world.target, candidates[0])
        assert artifact.check
        assert MeasureClient(world.measures).measure(artifact, world.endpoint, EVALUATOR).times
        return
    with pytest.raises(UsageError, match=f"the {world.name} engine can't compare"):
        traits.check_comparison(kind)
    with pytest.raises(UsageError, match=f"the {world.name} engine can't compare"):
        world.engine.build_checked(world.workload, world.target, candidates[0])


def test_a_candidate_far_behind_the_best_is_not_timed_in_full(world: World, artifact: Artifact) -> None:
    assert MeasureClient(world.measures).measure(artifact, world.endpoint, EVALUATOR, 1e-12).stopped


def test_what_cannot_be_loaded_is_the_candidate_s_fault_and_the_next_is_measured(
    world: World, artifact: Artifact
) -> None:
    measure = MeasureClient(world.measures).measure
    with pytest.raises(TunefleetError) as failed:
        measure(replace(artifact, data=b"no library"), world.endpoint, EVALUATOR)
    assert state_of(failed.value) is TrialState.RUN_ERROR
    assert measure(artifact, world.endpoint, EVALUATOR).times


def test_a_device_that_is_not_there_is_not_the_candidate_s_fault(world: World, artifact: Artifact) -> None:
    nowhere = replace(world.endpoint, key="nowhere", wait_s=1.0)
    with pytest.raises(TunefleetError, match="nowhere") as failed:
        MeasureClient(world.measures).measure(artifact, nowhere, EVALUATOR)
    assert state_of(failed.value) is TrialState.DEVICE_LOST


def test_a_tracker_says_which_devices_it_knows(world: World) -> None:
    devices = DevicesClient(world.measures)
    assert devices.tracked(*world.tracker) == {world.station.key: 1}
    assert devices.count_devices("cpu") == 1
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:1"):
        devices.tracked(HOST, 1)


# -- whole models


def _choices(world: World, candidates: tuple[Candidate, ...]) -> tuple[RecordChoice, ...]:
    history: dict[str, tuple[Record, ...]] = {world.workload.hash: (Record(candidates[0], (1e-6,)),)}
    workloads = tuple(task.workload for task in world.extraction.tasks)
    return world.engine.plans(world.model, world.target, workloads, history, {})


def test_the_last_choice_of_records_applies_none(world: World, candidates: tuple[Candidate, ...]) -> None:
    *others, last = _choices(world, candidates)
    assert not last.records
    assert not last.sequence
    assert any(choice.records for choice in others)


@pytest.mark.parametrize("beside", [False, True])
def test_a_model_computes_what_onnxruntime_computes_tuned_and_untuned(
    world: World, candidates: tuple[Candidate, ...], *, beside: bool
) -> None:
    inputs = random_inputs(world.model.inputs, seed=3)
    expected = run_reference(world.model.onnx, inputs, 1)
    tasks = {task.workload.hash for task in world.extraction.tasks}
    for choice in (_choices(world, candidates)[-2], RecordChoice("untuned")):
        compiled = world.engine.compile(world.model, world.target, choice, beside).result()
        assert set(compiled.tuned) == set(choice.records)
        assert set(compiled.untuned) == tasks - set(choice.records)
        assert (compiled.params is not None) is beside
        run = world.engine.run(compiled, inputs, world.target, repeats=2)
        assert len(run.times) == 2
        difference = compare(run.outputs, expected, names=[spec.name for spec in world.model.outputs])
        assert difference.ok, difference.reason


def test_the_kernels_of_a_library_are_timed_or_that_is_refused_by_name(
    world: World, candidates: tuple[Candidate, ...]
) -> None:
    inputs = random_inputs(world.model.inputs, seed=3)
    best = _choices(world, candidates)[-2]
    compiled = world.engine.compile(world.model, world.target, best).result()
    if world.name == "toy":
        with pytest.raises(UsageError, match="toy"):
            world.engine.profile(world.model, compiled, inputs, world.target, 3)
        return
    found = world.engine.profile(world.model, compiled, inputs, world.target, 3)
    assert {call.name for call in found.calls} == {kernel.name for kernel in found.kernels}
    assert len(found.calls) == sum(kernel.calls for kernel in found.kernels)
    assert all(call.seconds >= 0 for call in found.calls)
    assert [call.began_s for call in found.calls] == sorted(call.began_s for call in found.calls)
    products = [kernel for kernel in found.kernels if kernel.does == "products"]
    assert products
    assert all(kernel.outputs and kernel.products > 1 for kernel in products)
    # Classic TVM says no more of which task a kernel is.
    if world.name == "metaschedule":
        tasks = {task.workload.hash: task.weight for task in world.extraction.tasks}
        counted: dict[str, int] = {}
        for kernel in found.kernels:
            if kernel.workload:
                counted[kernel.workload] = counted.get(kernel.workload, 0) + kernel.calls
        assert counted == tasks


# -- logs


def test_a_log_of_its_own_is_read_as_it_was_written_or_refused_by_name(
    world: World, candidates: tuple[Candidate, ...]
) -> None:
    records = tuple((world.workload, Record(c, (1e-3,)), "") for c in candidates[:2])
    if world.engine.traits.log_format is None:
        with pytest.raises(UsageError, match=world.name):
            world.engine.write_log(world.target, records)
        with pytest.raises(UsageError, match=world.name):
            world.engine.read_log({"": ""}, world.target)
        return
    log = world.engine.write_log(world.target, records)
    files = {name: data.decode() for name, data in log.files.items()}
    tasks = tuple(task.workload for task in world.extraction.tasks)
    read = [line for line in world.engine.read_log(files, world.target, tasks) if line.record]
    assert {line.record.candidate.hash for line in read if line.record} == {c.hash for c in candidates[:2]}
    assert {line.workload.hash for line in read if line.workload} == {world.workload.hash}
