"""Products by tiles of AMX: no CPU here has them, and what stands in for one computes its instructions."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm.target import codegen

from tests.kit.quantized_networks import QuantizedNetwork
from workers.actors import BuildActor, SearchActor
from workers.clients import EngineClient
from workers.enginekit.machine import cpu_flags
from workers.engines.metaschedule import model as engine_model
from workers.engines.metaschedule.dot_products import (
    TILES,
    TILES_BFLOATS,
    bfloat_products_of,
    dot_products_of,
)
from workers.engines.metaschedule.records import replayed
from workers.engines.metaschedule.starter.begin import begun_record
from workers.engines.metaschedule.targets import parse_target, resolve_target
from workers.engines.metaschedule.tiles import Tiles, Window, tiles_named, whole_rows
from workers.engines.metaschedule.workload import load_module
from workers.messages import Array, PreparedModel, RecordChoice, SearchOptions
from workers.models import compare, output_steps, prepare, random_inputs, run_reference
from workers.models.precision.bfloats import dense_layers, in_bfloats
from workers.models.precision.layers import name_nodes

SAPPHIRE = "llvm -mtriple=x86_64-linux-gnu -num-cores=2 -mcpu=sapphirerapids"

emulated = pytest.mark.skipif(
    platform.machine() != "x86_64" or sys.platform != "linux", reason="it stands in for a CPU of x86 on Linux"
)


@pytest.fixture(scope="module")
def target() -> str:
    """This machine's CPU, had it tiles."""
    own = codegen.llvm_get_system_cpu()
    return f"llvm -mcpu={own} -mattr=+amx-tile,+amx-int8,+amx-bf16 -num-cores=2"


Compute = Callable[[onnx.ModelProto, str], tuple[list[Array], dict[str, Array], int]]


@pytest.fixture(scope="module")
def compute(engine: EngineClient, target: str, tmp_path_factory: pytest.TempPathFactory) -> Compute:
    """Computes a model with the schedules it begins with: outputs, inputs, multiplications of tiles."""
    folder = tmp_path_factory.mktemp("tiles")
    emulator = folder / "tiles_emulated.so"
    source = Path(__file__).parents[3] / "kit" / "tiles_emulated.c"
    strictly = ["-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC"]
    subprocess.run(["gcc", *strictly, str(source), "-o", str(emulator)], check=True, timeout=60)

    def computed(model: onnx.ModelProto, layout: str) -> tuple[list[Array], dict[str, Array], int]:
        ready = prepared(model, folder, layout)
        inputs = random_inputs(ready.inputs, 3)
        library, given, made = folder / "library.so", folder / "given.npz", folder / "made.npz"
        library.write_bytes(engine.compile(ready, target, RecordChoice("untuned")).result().library)
        np.savez(given, *inputs.values())
        script = Path(__file__).parent / "tiles_computed.py"
        words = [sys.executable, *map(str, (script, emulator, library, given, made))]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return list(np.load(made).values()), inputs, int(done.stdout)

    return computed


def prepared(model: onnx.ModelProto, folder: Path, layout: str = "nchw") -> PreparedModel:
    onnx.save(model, folder / "model.onnx")
    return replace(prepare(str(folder / "model.onnx")), layout=layout)


def product(rows: int, terms: int, columns: int, kind: str = "uint8") -> onnx.ModelProto:
    net = QuantizedNetwork((1, rows, terms), kind, "int8")
    return net.model(net.product(net.rounded("x"), terms, columns))


def differs(model: onnx.ModelProto, got: list[Array], inputs: dict[str, Array]) -> str:
    """Say how outputs differ from what the model says, by more than quantized values may."""
    want = run_reference(model.SerializeToString(), inputs, 1, optimize=False)
    assert all(len(set(one.ravel())) > 3 for one in want), "outputs that show nothing"
    found = compare(got, want, steps=output_steps(model))
    return "" if found.ok else str(found.reason)


# Tiles of all heights, one and two of rows and of columns at a time and several of these, sums of one step
# and of more, of whole tiles and of parts. How many there are: by hand.
@pytest.mark.parametrize(
    ("rows", "terms", "columns", "kind", "tiles"),
    [
        (32, 64, 32, "uint8", 2 * 2 * 1),
        (9, 20, 24, "int8", 1 * 2 * 1),
        (37, 96, 80, "int8", 3 * 5 * 2),
        pytest.param(16, 48, 16, "uint8", 1, marks=pytest.mark.slow),
        pytest.param(26, 16, 48, "uint8", 2 * 3 * 1, marks=pytest.mark.slow),
        pytest.param(197, 128, 64, "int8", 13 * 4 * 2, marks=pytest.mark.slow),
    ],
)
@emulated
def test_a_product_of_bytes_computes_what_it_did(
    rows: int, terms: int, columns: int, kind: str, tiles: int, compute: Compute
) -> None:
    model = product(rows, terms, columns, kind)
    got, inputs, multiplied = compute(model, "nchw")
    assert multiplied == tiles
    assert not differs(model, got, inputs)


@emulated
def test_too_few_rows_or_terms_are_left_to_vectors(compute: Compute) -> None:
    for model in (product(3, 64, 32), product(32, 8, 32)):
        got, inputs, multiplied = compute(model, "nchw")
        assert multiplied == 0
        assert not differs(model, got, inputs)


@emulated
def test_attention_in_bytes_computes_what_it_did(compute: Compute) -> None:
    """Products of two computed matrices, over tokens that no tile divides, on all cores."""
    net = QuantizedNetwork((2, 33, 40), "uint8", "int8")
    x = net.rounded("x", 0.01)
    query, key, value = (net.product(x, 40, out) for out in (20, 20, 16))
    turned = net.rounded(net.node("Transpose", key, perm=[0, 2, 1]))
    scores = net.rounded(net.node("MatMul", query, turned), 0.01)
    shares = net.rounded(net.node("Softmax", scores), 1 / 255, 0)
    model = net.model(scores, net.rounded(net.node("MatMul", shares, value), 0.005))
    got, inputs, multiplied = compute(model, "nchw")
    # Two matrices of three tiles' rows; what they are multiplied with are 2, 2, 1, 3 and 1 tiles of columns.
    assert multiplied == 2 * 3 * (2 + 2 + 1 + 3 + 1)
    assert not differs(model, got, inputs)


# Bytes are convolved as bytes where vectors have an instruction for them too, as all CPUs with tiles do.
of_bytes = pytest.mark.skipif(
    not cpu_flags() & {"avx512_vnni", "avx_vnni"}, reason="this CPU convolves no bytes (VNNI)"
)


# Windows, steps and distances; images of which a row is one tile or two, or no whole one.
@pytest.mark.parametrize(
    ("channels", "out", "size", "image", "attributes", "tiles"),
    [
        (64, 32, 1, (3, 28), {}, 3 * 2 * 2),
        (32, 48, 3, (5, 16), {"pads": [1, 1, 1, 1]}, 5 * 3 * 9),
        (64, 64, 3, (15, 15), {"strides": [2, 2], "pads": [1, 1, 1, 1]}, 8 * 4 * 9),
        pytest.param(128, 64, 1, (7, 7), {}, 7 * 4 * 2, marks=pytest.mark.slow),
        pytest.param(
            *(32, 32, 3, (9, 20), {"dilations": [2, 2], "pads": [0, 1, 2, 1]}, 7 * 2 * 2 * 9),
            marks=pytest.mark.slow,
        ),
    ],
)
@emulated
@of_bytes
def test_a_convolution_of_bytes_computes_what_it_did(
    channels: int,
    out: int,
    size: int,
    image: tuple[int, int],
    attributes: dict[str, Any],
    tiles: int,
    compute: Compute,
) -> None:
    net = QuantizedNetwork((1, channels, *image), "uint8", "int8")
    model = net.model(net.conv(net.rounded("x"), out, channels, size, **attributes))
    got, inputs, multiplied = compute(model, "nhwc")
    assert multiplied == tiles
    assert not differs(model, got, inputs)


@emulated
def test_a_network_computes_convolutions_of_vectors_and_products_of_tiles(compute: Compute) -> None:
    """In blocks, of which a tile would hold a quarter."""
    net = QuantizedNetwork((1, 3, 9, 8), "uint8", "int8")
    image = net.conv(net.rounded("x", 0.01), 16, 3, 3, pads=[1, 1, 1, 1])
    shape = net._constant(np.array([1, 16, 72], np.int64))
    model = net.model(image, net.product(net.rounded(net.node("Reshape", image, shape)), 72, 32))
    got, inputs, multiplied = compute(model, "blocked")
    assert multiplied == 2 * 2
    assert not differs(model, got, inputs)


def test_for_tiles_all_channels_of_a_pixel_lie_side_by_side(tmp_path: Path) -> None:
    net = QuantizedNetwork((1, 64, 14, 14), "uint8", "int8")
    model = net.model(net.conv(net.conv(net.rounded("x"), 64, 64, 3, pads=[1, 1, 1, 1]), 128, 64, 1))
    ready = replace(prepared(model, tmp_path), layout="auto")
    parsed = parse_target(SAPPHIRE)
    tasks = engine_model.extract_tasks(ready, parsed, "metaschedule", "1").tasks
    found = [task.workload for task in tasks if "conv2d" in task.name]
    assert len(found) == 2
    for work in found:
        record = begun_record(load_module(work.module), work.name, work.flops, parsed)
        assert record is not None
        assert "tunefleet_tiles_u8_14x" in record.candidate.trace


def in_bfloats_alone(rows: int, terms: int, columns: int) -> onnx.ModelProto:
    """Write a product with a constant matrix, and one of what it makes with itself, in bfloat16."""
    random = np.random.default_rng(3)
    weights = (random.standard_normal((terms, columns)) / np.sqrt(terms)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Transpose", ["m"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["m", "t"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, rows, terms))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, rows, rows))],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    name_nodes(model)
    layers = dense_layers(onnx.shape_inference.infer_shapes(model))
    assert len(layers) == 2
    return in_bfloats(model, [layer.name for layer in layers])


@emulated
def test_products_of_bfloats_compute_what_they_did(compute: Compute) -> None:
    model = in_bfloats_alone(19, 48, 32)
    got, inputs, multiplied = compute(model, "nchw")
    # Of two matrices: two tiles of rows, two of columns; twice 24 terms first, 32 at once then.
    assert multiplied == 2 * 2 * 2 * 2 + 2 * 2 * 2 * 1
    found = compare(got, run_reference(model.SerializeToString(), inputs, 1), rtol=2e-3)
    assert found.ok, found.reason


@pytest.mark.parametrize(
    ("model", "instruction", "weights"),
    [(product(64, 128, 96), "tdpbusd", "uint8"), (in_bfloats_alone(64, 128, 96), "tdpbf16ps", "uint16")],
)
def test_kernels_for_a_cpu_with_tiles_begin_with_them(
    model: onnx.ModelProto, instruction: str, weights: str, tmp_path: Path
) -> None:
    parsed = parse_target(SAPPHIRE)
    tasks = engine_model.extract_tasks(prepared(model, tmp_path), parsed, "metaschedule", "1").tasks
    found = [task.workload for task in tasks if "matmul" in task.name]
    assert found
    for work in found:
        module = load_module(work.module)
        assert weights in module.script()
        record = begun_record(module, work.name, work.flops, parsed)
        assert record is not None
        assert "tunefleet_tiles_" in record.candidate.trace
        schedule = replayed(module, json.loads(record.candidate.trace))
        kernel = tvm.tirx.build(schedule.mod, target=parsed).inspect_source("asm")
        assert instruction in kernel
        assert kernel.count("ldtilecfg") == kernel.count("tilerelease") > 0


def test_a_search_proposes_candidates_of_tiles_and_they_are_built(
    searcher: SearchActor, builder: BuildActor, tmp_path: Path
) -> None:
    target = resolve_target(SAPPHIRE).target
    ready = prepared(product(64, 128, 96), tmp_path)
    tasks = engine_model.extract_tasks(ready, parse_target(target), "metaschedule", "1").tasks
    (work,) = (task.workload for task in tasks if "matmul" in task.name)
    quick = SearchOptions(settings={"population": 32, "generations": 1})
    searcher.open("tiles", work, target, quick, (), (), 120)
    # What it begins with, and what it evolves to.
    proposed = [*searcher.propose("tiles", 1, None, 120), *searcher.propose("tiles", 8, None, 120)]
    assert len({candidate.hash for candidate in proposed}) > 4
    assert all("tunefleet_tiles_u8_64x32x128" in candidate.trace for candidate in proposed)
    for candidate in proposed[::3]:
        result, artifact = builder.build(work, target, candidate, 60.0)
        assert artifact is not None, result.message


def test_what_a_schedule_names_is_what_it_was_made_with() -> None:
    for dot in (TILES, TILES_BFLOATS):
        for made in (Tiles(128, 64, 384, dot), Tiles(9, 16, 20, dot, Window(3, 5, 2, 1, 4))):
            assert tiles_named(made.name) == made
    assert tiles_named("tunefleet_dot_16x4_vnni") is None
    assert tiles_named("tunefleet_tiles_u8") is None


# A tile has 16 rows at most; fewer of a fuller one are computed faster than more of two that aren't.
@pytest.mark.parametrize(
    ("count", "computed"), [(128, 128), (197, 208), (49, 52), (33, 33), (17, 18), (9, 9), (50, 52)]
)
def test_rows_are_filled_up_to_whole_tiles(count: int, computed: int) -> None:
    assert whole_rows(count) == computed


def test_a_virtual_machine_that_hides_tiles_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLVM knows its CPU's name."""
    monkeypatch.setattr(codegen, "llvm_get_system_cpu", lambda: "sapphirerapids")
    for flags, instruction in (
        ({"avx512f", "avx512_vnni"}, "llvm.x86.avx512.vpdpbusd.512"),
        ({"avx512f", "amx_tile", "amx_int8", "amx_bf16"}, "llvm.x86.tdpbusd"),
    ):
        monkeypatch.setattr("workers.engines.metaschedule.targets.cpu_flags", lambda flags=flags: flags)
        assert resolve_target("auto").integers == instruction


def test_a_device_says_that_it_multiplies_tiles() -> None:
    assert resolve_target(SAPPHIRE).integers == "llvm.x86.tdpbusd"
    assert resolve_target(SAPPHIRE).bfloats == "llvm.x86.tdpbf16ps"
    windows = SAPPHIRE.replace("linux-gnu", "windows-msvc")
    assert not any(dot.of_tiles for dot in dot_products_of(parse_target(windows)))
    parsed = parse_target(SAPPHIRE)
    # What has too few rows is left to the others.
    assert [dot.instruction for dot in dot_products_of(parsed)][1] == "llvm.x86.avx512.vpdpbusd.512"
    assert [dot.instruction for dot in bfloat_products_of(parsed)][1] == "llvm.x86.avx512bf16.dpbf16ps.512"
