"""CUDA targets where there is no GPU: searching, building and compiling need none, only measuring does."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.kit.quantized_networks import QuantizedNetwork
from workers.actors import BuildActor, SearchActor
from workers.clients import EngineClient
from workers.enginekit import cuda
from workers.engines.metaschedule import _cuda, search, targets
from workers.errors import EngineError
from workers.messages import (
    Artifact,
    Candidate,
    DeviceInfo,
    Extraction,
    PreparedModel,
    Record,
    RecordChoice,
    SearchOptions,
    Workload,
)
from workers.models import prepare

needs_nvcc = pytest.mark.skipif(
    cuda.nvcc() is None, reason="no nvcc here; pip install -c constraints.txt '.[cuda]' brings one"
)
SOURCE = b"__global__"


@pytest.fixture(scope="module")
def gpu(engine: EngineClient) -> DeviceInfo:
    """A GPU that isn't here."""
    return engine.resolve_target("cuda -arch=sm_90")


@pytest.fixture(scope="module")
def kernels(engine: EngineClient, model: PreparedModel, gpu: DeviceInfo) -> Extraction:
    """The tiny model's tasks for it."""
    return engine.extract(model, gpu.target)


@pytest.fixture(scope="module")
def product(kernels: Extraction) -> Workload:
    """Its matrix product."""
    return next(task.workload for task in kernels.tasks if "matmul" in task.name)


@pytest.fixture(scope="module")
def proposed(searcher: SearchActor, product: Workload, gpu: DeviceInfo) -> tuple[Candidate, ...]:
    """What a search proposes for the matrix product."""
    searcher.open("cuda", product, gpu.target, SearchOptions(), (), (), 120)
    found = searcher.propose("cuda", 4, None, 120)
    searcher.close("cuda")
    return found


@pytest.fixture(scope="module")
def built(
    builder: BuildActor, product: Workload, gpu: DeviceInfo, proposed: tuple[Candidate, ...]
) -> Artifact:
    """One of these, built."""
    result, artifact = builder.build(product, gpu.target, proposed[0], 120)
    assert artifact is not None, result.message
    return artifact


def test_a_target_with_an_architecture_says_what_searches_ask_of_it(gpu: DeviceInfo) -> None:
    assert gpu.kind == "cuda"
    for limit in ("max_threads_per_block", "max_shared_memory_per_block", "registers_per_block"):
        assert f'"{limit}"' in gpu.target


@pytest.mark.parametrize(
    ("arch", "version", "fits"),
    [
        ("sm_90", "9.0", True),
        ("sm_90a", "9.0", True),
        ("sm_80", "8.6", True),
        ("sm_100a", "10.0", True),
        ("sm_86", "8.0", False),
        ("sm_80", "9.0", False),
        ("sm_100a", "10.3", False),
    ],
)
def test_machine_code_is_for_a_generation_of_gpus(arch: str, version: str, fits: bool) -> None:
    """By NVIDIA's rules of binary compatibility."""
    unfit = targets._unfit_gpu(targets.parse_target(f"cuda -arch={arch}"), version)
    assert unfit == ("" if fits else f"it is for {arch}, the GPU here is an sm_{version.replace('.', '')}")


def test_kernels_of_a_gpu_make_no_difference_between_weights_and_activations(
    kernels: Extraction, extraction: Extraction
) -> None:
    """MetaSchedule rewrites the layouts of weights for CPUs alone; a mark would only divide the tasks."""
    assert not any(b"layout_free_buffers" in task.workload.module for task in kernels.tasks)
    assert any(b"layout_free_buffers" in task.workload.module for task in extraction.tasks)


def test_a_search_for_a_gpu_binds_threads(proposed: tuple[Candidate, ...]) -> None:
    assert len({candidate.hash for candidate in proposed}) == 4
    assert all("threadIdx.x" in candidate.trace for candidate in proposed)


@pytest.mark.slow
def test_a_convolution_whose_schedules_seldom_fit_a_gpu_is_searched_all_the_same(
    searcher: SearchActor, kernels: Extraction, gpu: DeviceInfo
) -> None:
    convolution = next(task.workload for task in kernels.tasks if "conv2d" in task.name)
    searcher.open("small", convolution, gpu.target, SearchOptions(), (), (), 120)
    assert len(searcher.propose("small", 4, None, 300)) == 4
    searcher.close("small")


@needs_nvcc
def test_a_candidate_is_compiled_to_machine_code(built: Artifact) -> None:
    assert built.suffix == ".so"
    assert SOURCE not in built.data
    # The last number in the magic of a fatbin is its version.
    assert struct.pack("<IH", 0xBA55ED50, 1) in built.data


def test_without_a_compiler_the_source_goes_along(
    product: Workload,
    gpu: DeviceInfo,
    proposed: tuple[Candidate, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in ("gcc", "g++", "ld", "as"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(tmp_path))
    # As it is where neither NVIDIA's toolkit nor its packages are installed.
    (tmp_path / "sitecustomize.py").write_text(
        "from workers.enginekit import cuda\ncuda.nvcc = lambda: None\ncuda.compiler = lambda: ''\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[4]}")
    actor = BuildActor("metaschedule")
    actor.start()
    try:
        result, artifact = actor.build(product, gpu.target, proposed[0], 120)
    finally:
        actor.stop()
    assert artifact is not None, result.message
    assert SOURCE in artifact.data


@needs_nvcc
def test_stock_tvm_loads_what_was_compiled_without_compiling_anything(
    built: Artifact, tmp_path: Path
) -> None:
    """NVIDIA's driver is a stand-in that can do nothing: nothing is asked of it before a kernel runs."""
    library = tmp_path / "candidate.so"
    library.write_bytes(built.data)
    loaded = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("load_without_driver.py")), str(library)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    if "libcudart" in loaded.stderr:
        pytest.skip(f"TVM's CUDA runtime needs {cuda.RUNTIME}, which is not here")
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.strip() == "cuda"


@needs_nvcc
def test_a_model_with_records_for_some_of_its_tasks_compiles_whole(
    engine: EngineClient,
    model: PreparedModel,
    gpu: DeviceInfo,
    product: Workload,
    proposed: tuple[Candidate, ...],
) -> None:
    plan = RecordChoice("some", {product.hash: Record(proposed[0], (1e-3,))})
    some = engine.compile(model, gpu.target, plan).result()
    none = engine.compile(model, gpu.target, RecordChoice("untuned")).result()
    assert some.tuned == (product.hash,)
    assert len(some.untuned) == 2
    assert none.tuned == ()
    assert all(SOURCE not in compiled.library for compiled in (some, none))
    assert some.library != none.library


# -- tensor cores


@pytest.fixture(scope="module")
def halves(engine: EngineClient, gpu: DeviceInfo, tmp_path_factory: pytest.TempPathFactory) -> Workload:
    """A matrix product of float16."""
    path = tmp_path_factory.mktemp("halves") / "product.onnx"
    weights = numpy_helper.from_array(np.ones((64, 64), np.float16), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, [64, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, [64, 64])],
        [weights],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    (task,) = engine.extract(prepare(str(path)), gpu.target).tasks
    return task.workload


@pytest.mark.slow
@needs_nvcc
def test_products_of_halves_are_for_tensor_cores_and_compile(
    searcher: SearchActor, builder: BuildActor, halves: Workload, gpu: DeviceInfo
) -> None:
    """TVM's pass that reuses memory made nine of ten of them fail."""
    quick = SearchOptions(settings={"population": 32, "generations": 1})
    searcher.open("halves", halves, gpu.target, quick, (), (), 120)
    found = searcher.propose("halves", 3, None, 300)
    searcher.close("halves")
    assert len(found) == 3
    assert all("wmma" in candidate.trace for candidate in found)
    # Three halves at once don't compile.
    assert not any("[1, 2, 3, 4]" in candidate.trace for candidate in found)
    for candidate in found:
        result, artifact = builder.build(halves, gpu.target, candidate, 120)
        assert artifact is not None, result.message


@pytest.mark.slow
@needs_nvcc
def test_products_of_bytes_are_for_tensor_cores_and_compile(
    searcher: SearchActor, builder: BuildActor, engine: EngineClient, gpu: DeviceInfo, tmp_path: Path
) -> None:
    net = QuantizedNetwork((64, 64), "uint8")
    onnx.save(net.model(net.product(net.rounded("x"), 64, 64)), tmp_path / "product.onnx")
    tasks = engine.extract(prepare(str(tmp_path / "product.onnx")), gpu.target).tasks
    (product,) = (task.workload for task in tasks if "matmul" in task.name)
    quick = SearchOptions(settings={"population": 32, "generations": 1})
    searcher.open("bytes", product, gpu.target, quick, (), (), 120)
    found = searcher.propose("bytes", 3, None, 300)
    searcher.close("bytes")
    assert len(found) == 3
    assert all("wmma" in candidate.trace and "s8" in candidate.trace for candidate in found)
    for candidate in found:
        result, artifact = builder.build(product, gpu.target, candidate, 120)
        assert artifact is not None, result.message


@needs_nvcc
def test_what_the_compiler_says_of_a_kernel_is_its_errors() -> None:
    with targets.parse_target("cuda -arch=sm_90"), pytest.raises(EngineError) as refused:
        _cuda.machine_code('extern "C" __global__ void main_kernel() { nothing_of_that_name(1); }', "nvcc")
    assert str(refused.value) == ('nvcc refuses the kernel: identifier "nothing_of_that_name" is undefined')


# -- torch beside TVM


def test_an_engine_does_not_import_torch(tmp_path: Path) -> None:
    """Its import asks for a GPU, and then no fork of the engine process can use one."""
    imported = tmp_path / "imported"
    (tmp_path / "torch.py").write_text(f"open({str(imported)!r}, 'w').close()\n")
    code = (
        "import os, sys\n"
        "from workers.engines.metaschedule import ENGINE\n"
        "for role in ('model', 'search', 'build', 'measure'):\n"
        "    ENGINE.warm(role)\n"
        "assert 'torch' not in sys.modules\n"
        f"assert not os.path.exists({str(imported)!r})\n"
        # Where something else imports it, it is there.
        "import torch\n"
    )
    folders = f"{tmp_path}:{Path(__file__).parents[4]}"
    subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": folders}, timeout=120, check=True
    )
    assert imported.exists()


def test_design_spaces_that_fail_are_drawn_again(halves: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    """MetaSchedule makes them by chance: of a convolution of 14 by 14 one seed in four fails."""
    found = search.MetaScheduleSearch(halves, targets.parse_target("cuda -arch=sm_90"), SearchOptions())
    context, left = found._context, [True, True]

    class Failing:
        def generate_design_space(self) -> list[object]:
            if left:
                left.pop()
                raise RuntimeError("the scope is not a stage pipeline")
            return list(context.generate_design_space())

    found._context = Failing()
    monkeypatch.setattr(search, "tune_context", lambda *_, **__: found._context)
    assert found._design_spaces()
    assert not left
