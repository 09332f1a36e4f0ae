"""Real engine processes, shared: each takes seconds to start."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.tiny_models import save
from workers.actors import BuildActor, MeasureActor, SearchActor
from workers.clients import EngineClient
from workers.messages import (
    Artifact,
    Candidate,
    DeviceInfo,
    Extraction,
    PreparedModel,
    SearchOptions,
    Workload,
)
from workers.models import prepare
from workers.process.engine_process import EngineProcess


@pytest.fixture(scope="session")
def engine() -> Iterator[EngineClient]:
    """The default engine, as it imports, extracts and compiles."""
    with EngineProcess("metaschedule", "model") as process:
        yield EngineClient(process)


@pytest.fixture(scope="session")
def device(engine: EngineClient) -> DeviceInfo:
    """This machine's CPU."""
    return engine.resolve_target("auto")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> PreparedModel:
    """The tiny model, ready."""
    return prepare(str(save(tmp_path_factory.mktemp("model") / "tiny.onnx")), {})


@pytest.fixture(scope="session")
def extraction(engine: EngineClient, model: PreparedModel, device: DeviceInfo) -> Extraction:
    """Its tasks."""
    return engine.extract(model, device.target)


@pytest.fixture(scope="session")
def convolution(extraction: Extraction) -> Workload:
    """Its heaviest workload."""
    return max(extraction.tasks, key=lambda task: task.workload.flops).workload


@pytest.fixture(scope="session")
def searcher() -> Iterator[SearchActor]:
    """A search actor, without Ray."""
    actor = SearchActor("metaschedule")
    actor.start()
    yield actor
    actor.stop()


@pytest.fixture(scope="session")
def builder() -> Iterator[BuildActor]:
    """A build actor, without Ray."""
    actor = BuildActor("metaschedule")
    actor.start()
    yield actor
    actor.stop()


@pytest.fixture(scope="session")
def candidates(searcher: SearchActor, convolution: Workload, device: DeviceInfo) -> tuple[Candidate, ...]:
    """What a search proposes for the heaviest workload."""
    searcher.open(
        "candidates",
        convolution,
        device.target,
        SearchOptions(settings={"population": 128}),
        (),
        (),
        timeout_s=120,
    )
    found = searcher.propose("candidates", 4, None, timeout_s=120)
    searcher.close("candidates")
    return found


@pytest.fixture(scope="session")
def artifact(
    builder: BuildActor, convolution: Workload, device: DeviceInfo, candidates: tuple[Candidate, ...]
) -> Artifact:
    """One of them, built."""
    result, built = builder.build(convolution, device.target, candidates[0], timeout_s=60)
    assert built is not None, result.message
    return built


@pytest.fixture(scope="session")
def measurer(device: DeviceInfo) -> Iterator[MeasureActor]:
    """A measure actor with its tracker and its server, without Ray."""
    actor = MeasureActor("metaschedule")
    actor.start()
    actor.offer((device,))
    actor.serve()
    yield actor
    actor.stop()


@pytest.fixture(scope="session")
def written_in_c(tmp_path_factory: pytest.TempPathFactory, artifact: Artifact) -> Callable[[str], Artifact]:
    """Makes an artifact whose kernel is these C statements: what no schedule can be relied on to do."""

    def compile_c(statements: str) -> Artifact:
        folder = tmp_path_factory.mktemp("c")
        source, library = folder / "candidate.c", folder / "candidate.so"
        source.write_text(
            "#include <stdlib.h>\n#include <unistd.h>\n"
            # The name and the signature under which TVM calls a library's main function.
            "int __tvm_ffi_main(void* self, const void* args, int count, void* result) {\n"
            f"{statements}\nreturn 0;\n}}\n"
        )
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
        return Artifact(Path(library).read_bytes(), ".so", artifact.args)

    return compile_c
