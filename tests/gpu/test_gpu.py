"""Everything on a real GPU: a campaign, its library, the servers, and candidates that do harm."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import orchestrator as tf
from orchestrator.builds import bench_model, build_model, run_library
from orchestrator.errors import TargetError
from orchestrator.models.request import ModelRequest
from orchestrator.toolbox import Toolbox
from tests.kit.tiny_models import save
from workers.actors import BuildActor, MeasureActor
from workers.clients import EngineClient
from workers.messages import (
    Artifact,
    Candidate,
    DeviceInfo,
    EvaluatorConfig,
    Station,
    TrialState,
    Workload,
)
from workers.process.engine_process import EngineProcess

pytestmark = pytest.mark.gpu

EVALUATOR = EvaluatorConfig(min_repeat_ms=5, timeout_s=20.0)
TRIALS = 8


@pytest.fixture(scope="module")
def tools() -> Iterator[Toolbox]:
    with Toolbox("metaschedule") as opened:
        yield opened


@pytest.fixture(scope="module")
def gpu(tools: Toolbox) -> DeviceInfo:
    """The GPU of this machine. Where scripts/gpu runs the tests it has to be there."""
    try:
        found = tools.resolve_target("cuda")
        why = found.unfit
    except TargetError as error:
        why = str(error)
    if why and os.environ.get("TUNEFLEET_TEST_GPU") == "1":
        pytest.fail(f"TUNEFLEET_TEST_GPU=1 asks for the tests on a GPU, but {why}")
    if why:
        pytest.skip(f"not run on a GPU: {why}")
    return found


@pytest.fixture(scope="module")
def measurer(gpu: DeviceInfo) -> Iterator[MeasureActor]:
    """A measure actor, without Ray."""
    actor = MeasureActor("metaschedule")
    actor.start()
    assert actor.offer((gpu,))
    actor.serve()
    yield actor
    actor.stop()


@pytest.fixture(scope="module")
def builder() -> Iterator[BuildActor]:
    actor = BuildActor("metaschedule")
    actor.start()
    yield actor
    actor.stop()


@pytest.fixture(scope="module")
def build(builder: BuildActor, gpu: DeviceInfo) -> Callable[[Workload, Candidate], Artifact]:
    """Builds a candidate that builds."""

    def of(workload: Workload, candidate: Candidate) -> Artifact:
        result, artifact = builder.build(workload, gpu.target, candidate, 120)
        assert artifact is not None, result.message
        return artifact

    return of


@pytest.fixture(scope="module")
def good(gpu: DeviceInfo, build: Callable[[Workload, Candidate], Artifact]) -> Artifact:
    """A kernel that every GPU can run."""
    with EngineProcess("metaschedule", "model") as engine:
        return build(*EngineClient(engine).known_kernel(gpu.target))


# -- a model, from its file to times


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[tf.Storage, Path]]:
    folder = tmp_path_factory.mktemp("gpu")
    with tf.Storage.open(f"sqlite:///{folder / 'records.db'}") as store:
        # Wide enough that schedules which fit a GPU are found in seconds.
        yield store, save(folder / "small.onnx", channels=32, outputs=64)


@pytest.fixture(scope="module")
def campaign(place: tuple[tf.Storage, Path], gpu: DeviceInfo) -> tf.Outcome:
    """The model, tuned for the GPU and for this machine's CPU at once."""
    store, model = place
    spec = tf.CampaignSpec.of(
        {
            "models": [{"path": str(model)}],
            "targets": ["cuda", "auto"],
            "tasks": "conv2d|matmul",
            "trials_per_task": TRIALS,
            "evaluator": {"min_repeat_ms": 5},
        }
    )
    return tf.follow(store, tf.submit(store, spec, hold=True).id)


def test_a_campaign_measures_on_the_gpu_and_its_library_agrees_with_onnxruntime(
    campaign: tf.Outcome, place: tuple[tf.Storage, Path], gpu: DeviceInfo
) -> None:
    store, _ = place
    trials = [
        trial
        for trial in store.trials.of_campaign(campaign.campaign.id)
        if trial.device_class == gpu.device_class
    ]
    assert len(trials) == 2 * TRIALS
    assert any(trial.state is TrialState.OK for trial in trials)
    (report,) = [one for one in campaign.reports if one.device_class == gpu.device_class]
    assert report.outputs_agree, report.disagreement
    assert report.tasks_tuned == 2


def test_a_campaign_for_a_gpu_and_a_cpu_measures_on_both_at_once(
    campaign: tf.Outcome, place: tuple[tf.Storage, Path], gpu: DeviceInfo
) -> None:
    trials = place[0].trials.of_campaign(campaign.campaign.id)
    begun = {
        of_gpu: [trial.created_at for trial in trials if (trial.device_class == gpu.device_class) is of_gpu]
        for of_gpu in (True, False)
    }
    assert max(map(min, begun.values())) < min(map(max, begun.values()))
    assert len({report.device_class for report in campaign.reports}) == 2


def test_a_library_with_few_tuned_kernels_runs_and_agrees(
    campaign: tf.Outcome, place: tuple[tf.Storage, Path], tools: Toolbox, tmp_path: Path
) -> None:
    store, model = place
    request = ModelRequest(path=str(model))
    built = build_model(store, tools, request, tmp_path / "lib.so", target="cuda")
    assert 0 < built.coverage.tuned < len(built.coverage.tasks)
    report = run_library(tools, built.library, check=model, repeats=3)
    assert report.check is not None
    assert report.check.agree, report.check.reason
    assert report.median_s is not None


def test_an_untuned_model_is_benched(
    place: tuple[tf.Storage, Path], gpu: DeviceInfo, tools: Toolbox, tmp_path: Path
) -> None:
    model = save(tmp_path / "other.onnx", channels=8, outputs=7)
    report = bench_model(place[0], tools, ModelRequest(path=str(model)), target="cuda", rounds=3)
    assert report.outputs_agree, report.disagreement


def test_a_library_for_another_gpu_is_refused(gpu: DeviceInfo, tools: Toolbox) -> None:
    assert "the GPU here is" in tools.resolve_target("cuda -arch=sm_52").unfit


# -- servers, and what harms them


def test_two_servers_on_one_gpu_both_measure(measurer: MeasureActor, gpu: DeviceInfo, good: Artifact) -> None:
    stations = [Station(f"{gpu.device_class}.{name}", gpu, 0) for name in "ab"]
    results = [measurer.measure(good, station, EVALUATOR) for station in stations]
    assert [result.state for result in results] == [TrialState.OK] * 2, results
    assert [result.device for result in results] == [station.key for station in stations]


def test_a_kernel_that_asks_for_too_much_shared_memory_is_a_run_error_and_harms_nothing(
    measurer: MeasureActor,
    gpu: DeviceInfo,
    build: Callable[[Workload, Candidate], Artifact],
    good: Artifact,
) -> None:
    station = Station(gpu.device_class, gpu)
    greedy = measurer.measure(build(*_greedy()), station, EVALUATOR)
    assert greedy.state is TrialState.RUN_ERROR, greedy.message
    assert measurer.measure(good, station, EVALUATOR).state is TrialState.OK


def test_a_killed_server_is_started_again(
    measurer: MeasureActor, gpu: DeviceInfo, good: Artifact, eventually: Callable[..., None]
) -> None:
    station = Station(gpu.device_class, gpu)
    assert measurer.measure(good, station, EVALUATOR).state is TrialState.OK
    tracker, *servers = sorted(
        psutil.Process(measurer._process.pid).children(), key=lambda process: process.create_time()
    )
    for server in servers:
        os.kill(server.pid, signal.SIGKILL)
    eventually(lambda: not any(server.is_running() for server in servers), "the servers are gone")
    # As the coordinator does: a lost device is asked again.
    for _ in range(3):
        result = measurer.measure(good, station, EVALUATOR)
        if result.state is not TrialState.DEVICE_LOST:
            break
    assert result.state is TrialState.OK, result.message
    assert tracker.is_running()


def _greedy() -> tuple[Workload, Candidate]:
    """Return a matrix product whose every block of threads wants the whole left matrix, 1 MiB, at hand."""
    from tvm.s_tir import Schedule
    from tvm.target import Target

    from workers.engines.metaschedule.known import known_kernel
    from workers.engines.metaschedule.records import candidate_of
    from workers.engines.metaschedule.workload import load_module

    workload, _ = known_kernel(Target({"kind": "cuda", "arch": "sm_90"}), "metaschedule")
    schedule = Schedule(load_module(workload.module))
    block = schedule.get_sblock("arg2")
    i, j, k = schedule.get_loops(block)
    schedule.reorder(j, i, k)
    schedule.bind(j, "blockIdx.x")
    schedule.bind(i, "threadIdx.x")
    shared = schedule.cache_read(block, 0, "shared.dyn")
    schedule.compute_at(shared, j)
    _, threads = schedule.split(schedule.fuse(*schedule.get_loops(shared)[1:]), [None, 256])
    schedule.bind(threads, "threadIdx.x")
    assert schedule.trace is not None
    return workload, candidate_of(schedule.trace)
