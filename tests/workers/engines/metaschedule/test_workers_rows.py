"""Rows that no tile divides: how many are computed, and that nobody sees them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kit.compiled_models import disagreement
from tests.kit.layout_graphs import Graph
from workers.clients import EngineClient
from workers.engines.metaschedule.rows import whole_columns, whole_rows, whole_vectors
from workers.messages import DeviceInfo, RecordChoice
from workers.models import compare, random_inputs, run_reference


@pytest.mark.parametrize(
    ("count", "computed"),
    [
        *[(197, 198), (49, 50), (77, 78), (257, 258), (7, 8), (196, 196), (50, 50), (128, 128), (14, 15)],
        *[(11, 12), (62, 64)],
        # Where it would be a third more, or all of it: a product of one row is one.
        *[(1, 1), (2, 2), (3, 3)],
    ],
)
def test_as_few_rows_more_as_make_tiles_are_computed(count: int, computed: int) -> None:
    assert whole_rows(count) == computed


@pytest.mark.parametrize(
    ("rows", "columns", "computed"),
    [(7, 7, 8), (14, 14, 14), (9, 9, 10), (17, 17, 18), (7, 1, 1), (10, 7, 7)],
)
def test_a_tile_of_an_image_may_have_several_of_its_rows(rows: int, columns: int, computed: int) -> None:
    assert whole_columns(rows, columns) == computed


@pytest.mark.parametrize(
    ("count", "lanes", "computed"),
    [(197, 8, 200), (1000, 16, 1008), (30522, 8, 30528), (64, 8, 64), (10, 8, 10), (2, 4, 2), (1, 8, 1)],
)
def test_columns_are_whole_vectors_where_that_is_few_more(count: int, lanes: int, computed: int) -> None:
    assert whole_vectors(count, lanes) == computed


def product(batch: tuple[int, ...]) -> Graph:
    """Return a product with weights, and one of what that makes with itself, turned."""
    g = Graph((*batch, 49, 12))
    # Columns that are no whole number of vectors, of weights and of what is computed.
    wide = g.node("Relu", g.node("Add", g.node("MatMul", "x", g.weight(12, 31)), g.weight(31)))
    axes = list(range(len(batch)))
    turned = g.node("Transpose", wide, perm=[*axes, len(batch) + 1, len(batch)])
    g.node("MatMul", wide, turned)
    return g


@pytest.mark.parametrize("batch", [(), (2,), (1, 3)])
@pytest.mark.parametrize("lend", [False, True])
def test_products_of_odd_rows_are_those_of_onnxruntime(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path, batch: tuple[int, ...], lend: bool
) -> None:
    model = product(batch).save(tmp_path / "product.onnx", rank=len(batch) + 2)
    works = [task.workload for task in engine.extract(model, device.target).tasks if "matmul" in task.name]
    assert sum(work.flops for work in works) > math.prod(batch) * 2 * 50 * (12 * 31 + 31 * 49)
    compiled = engine.compile(model, device.target, RecordChoice("untuned", lend=lend)).result()
    inputs = random_inputs(model.inputs, 3)
    ran = engine.run(compiled, inputs, device.target)
    found = compare(ran.outputs, run_reference(model.onnx, inputs, threads=1))
    assert found.ok, found.reason


def test_a_gpu_is_given_the_products_that_are_asked_for(engine: EngineClient, tmp_path: Path) -> None:
    model = product(()).save(tmp_path / "product.onnx", rank=2)
    target = "cuda -arch=sm_80 -max_threads_per_block=1024 -max_shared_memory_per_block=49152"
    works = [task.workload for task in engine.extract(model, target).tasks if "matmul" in task.name]
    assert sum(2 * 49 * of for of in (12 * 31, 31 * 49)) <= sum(work.flops for work in works)
    assert sum(work.flops for work in works) < 2 * 50 * (12 * 31 + 31 * 49)


@pytest.mark.parametrize("strides", [[1, 1], [2, 2]])
@pytest.mark.parametrize("kernel", [1, 3])
def test_convolutions_of_odd_images_are_those_of_onnxruntime(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path, kernel: int, strides: list[int]
) -> None:
    size = 7 if strides == [1, 1] else 13
    g = Graph((1, 16, size, size))
    around = [kernel // 2] * 4
    made = g.node("Relu", g.conv("x", 32, 16, kernel, pads=around, strides=strides))
    g.node("Add", made, g.conv("x", 32, 16, kernel, pads=around, strides=strides))
    model = replace(g.save(tmp_path / "odd.onnx"), layout="blocked")
    (work, *_) = [
        task.workload for task in engine.extract(model, device.target).tasks if "conv2d" in task.name
    ]
    assert work.flops > 2 * 7 * 8 * 32 * 16 * kernel**2
    assert not disagreement(engine, model, device.target)
