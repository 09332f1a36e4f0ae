"""The AutoTVM engine's processes, shared. Everything here is skipped where its environment is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.kit.small_convolutions import save_convolutions
from workers import environments
from workers.actors import BuildActor, MeasureActor, SearchActor
from workers.clients import EngineClient
from workers.messages import DeviceInfo, Extraction, PreparedModel, Workload
from workers.models import prepare
from workers.process.engine_process import EngineProcess


@pytest.fixture(scope="session")
def engine(autotvm_environment: environments.EngineEnvironment) -> Iterator[EngineClient]:
    """The engine, as it imports, extracts and compiles."""
    with EngineProcess("autotvm", "model") as process:
        yield EngineClient(process)


@pytest.fixture(scope="session")
def device(engine: EngineClient) -> DeviceInfo:
    """This machine's CPU."""
    return engine.resolve_target("auto")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., PreparedModel]:
    """Prepares a model of two convolutions."""

    def of(**what: object) -> PreparedModel:
        path = tmp_path_factory.mktemp("model") / "small.onnx"
        return prepare(str(save_convolutions(path, **what)), {})  # type: ignore[arg-type]

    return of


@pytest.fixture(scope="session")
def extract(
    engine: EngineClient, device: DeviceInfo, prepared: Callable[..., PreparedModel]
) -> Callable[..., Extraction]:
    """Extracts the tasks of a model of two convolutions."""

    def of(**what: object) -> Extraction:
        return engine.extract(prepared(**what), device.target)

    return of


@pytest.fixture(scope="session")
def workload(extract: Callable[..., Extraction]) -> Workload:
    """A convolution with a few hundred configurations."""
    return max(extract().tasks, key=lambda task: task.workload.flops).workload


@pytest.fixture(scope="session")
def searcher(autotvm_environment: environments.EngineEnvironment) -> Iterator[SearchActor]:
    """A search actor, without Ray."""
    actor = SearchActor("autotvm")
    with pytest.MonkeyPatch.context() as patch:
        # Two threads of XGBoost's would spend more on waiting for each other than on so small a model.
        patch.setenv("OMP_NUM_THREADS", "1")
        actor.start()
    yield actor
    actor.stop()


@pytest.fixture(scope="session")
def builder(autotvm_environment: environments.EngineEnvironment) -> Iterator[BuildActor]:
    """A build actor, without Ray."""
    actor = BuildActor("autotvm")
    actor.start()
    yield actor
    actor.stop()


@pytest.fixture(scope="session")
def measurer(device: DeviceInfo) -> Iterator[MeasureActor]:
    """A measure actor with its tracker and its server, without Ray."""
    actor = MeasureActor("autotvm")
    actor.start()
    actor.offer((device,))
    actor.serve()
    yield actor
    actor.stop()
