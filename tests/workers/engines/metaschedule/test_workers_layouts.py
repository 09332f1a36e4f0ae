"""Layouts of convolutions: the same outputs, other kernels, few transforms."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.kit.compiled_models import disagreement
from tests.kit.layout_graphs import Graph
from workers.clients import EngineClient
from workers.errors import UsageError
from workers.messages import DeviceInfo, Extraction, PreparedModel

LAYOUTS = ("nchw", "nhwc", "blocked", "auto")
# How many transforms blocks take depends on their width, and so on the machine: this one has vectors of 16.
WIDE = "llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512 -num-cores=2"


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> PreparedModel:
    """A model that has each operator which the layouts know, one after the other."""
    g = Graph()
    low, high = g.constant(0.0, "float32"), g.constant(6.0, "float32")
    stem = g.node("Clip", g.conv("x", 24, 3, 3, pads=[1, 1, 1, 1], strides=[2, 2]), low, high)
    depth = g.node("Relu", g.conv(stem, 24, 1, 3, group=24, pads=[1, 1, 1, 1]))
    both = g.node("Concat", depth, g.conv(stem, 8, 24), axis=1)
    squeezed = g.node("Relu", g.conv(g.node("GlobalAveragePool", both), 6, 32))
    gate = g.node("HardSigmoid", g.conv(squeezed, 32, 6))
    pooled = g.node("MaxPool", g.node("Mul", both, gate), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    wide = g.conv(pooled, 64, 32, 3, dilations=[2, 2], pads=[2, 2, 2, 2])
    grouped = g.conv(wide, 32, 32, 1, group=2)
    summed = g.node("Sum", grouped, pooled, grouped)
    sizes = g.constant([1, 1, 2, 2], "float32")
    larger = g.node("Resize", summed, "", sizes, mode="nearest", coordinate_transformation_mode="asymmetric")
    averaged = g.node("AveragePool", larger, kernel_shape=[2, 2], strides=[1, 1])
    upsampled = g.node("ConvTranspose", averaged, g.weight(32, 10, 2, 2), g.weight(10), strides=[2, 2])
    spatial = g.node("Sigmoid", g.conv(upsampled, 1, 10))
    scaled = g.node("Mul", upsampled, spatial)
    g.node("Gemm", g.node("Flatten", g.node("GlobalAveragePool", scaled)), g.weight(10, 4))
    return g.save(tmp_path_factory.mktemp("layouts") / "everything.onnx", rank=2)


def extracted(engine: EngineClient, model: PreparedModel, target: str, layout: str) -> Extraction:
    return engine.extract(replace(model, layout=layout), target)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_outputs_of_onnxruntime(
    engine: EngineClient, device: DeviceInfo, everything: PreparedModel, layout: str
) -> None:
    model = replace(everything, layout=layout)
    assert not disagreement(engine, model, device.target)


@pytest.mark.parametrize("padding", [[1, 1, 1, 1], [0, 0, 0, 0], [2, 0, 1, 3]])
def test_winograd_gives_the_outputs_of_onnxruntime_on_images_of_any_size(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path, padding: list[int]
) -> None:
    g = Graph()
    wide = g.conv("x", 64, 3)  # 21x20: tiles of two reach past the outputs, or don't
    g.node("Relu", g.conv(wide, 80, 64, 3, pads=padding))
    model = replace(g.save(tmp_path / "winograd.onnx"), layout="blocked")
    names = [task.name for task in extracted(engine, model, device.target, "blocked").tasks]
    assert {"winograd_windows", "winograd_products", "winograd_tiles"} <= set(names)
    # Nothing is fused into a transform, and what follows is fused with putting the tiles together.
    assert any(name.startswith("fused_winograd_assembled") for name in names)
    assert not disagreement(engine, model, device.target)


@pytest.mark.parametrize(
    "other",
    [
        {"strides": [2, 2]},
        {"dilations": [2, 2]},
        {"kernel": 5},
        {"out": 48},
        {"out": 2048},
        {"group": 2},
    ],
)
def test_winograd_is_for_plain_convolutions_of_3x3_with_many_channels(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path, other: dict[str, Any]
) -> None:
    g = Graph()
    attributes = {key: value for key, value in other.items() if key not in ("kernel", "out")}
    channels = 64 // other.get("group", 1)
    wide = g.conv("x", 64, 3)
    g.node("Relu", g.conv(wide, other.get("out", 64), channels, other.get("kernel", 3), **attributes))
    tasks = extracted(engine, g.save(tmp_path / "plain.onnx"), device.target, "blocked").tasks
    assert not [task.name for task in tasks if "winograd" in task.name]


def test_a_transform_is_left_only_where_blocks_of_two_sizes_meet(
    engine: EngineClient, everything: PreparedModel
) -> None:
    def transforms(layout: str) -> list[str]:
        tasks = extracted(engine, everything, "llvm -mcpu=skylake-avx512 -num-cores=2", layout).tasks
        return sorted(task.name.rstrip("0123456789") for task in tasks if "to_n" in task.name)

    assert transforms("nchw") == []
    # Two groups of 16 channels, each by itself, are added to 32 that lie together.
    assert transforms("nhwc") == ["to_nhwc"]
    # What is pooled has blocks of 8, made of 24 channels and of 8; halves of 32, with one of 16, are added.
    assert transforms("blocked") == ["to_nchw16c"]


def test_layouts_are_part_of_the_workloads_and_auto_takes_blocks(
    engine: EngineClient, everything: PreparedModel
) -> None:
    # With vectors of 16 it leaves some of these small images in NCHW.
    target = "llvm -mcpu=haswell -num-cores=2"
    found = {
        layout: {
            task.workload.hash
            for task in extracted(engine, everything, target, layout).tasks
            if "conv2d" in task.name
        }
        for layout in LAYOUTS
    }
    assert found["auto"] == found["blocked"]
    assert not found["blocked"] & found["nchw"]
    assert not found["nhwc"] & found["nchw"]


@pytest.mark.parametrize(
    ("mcpu", "block", "blocks"),
    [
        # Six channels are most of a vector of 8, and ten are most of two; of one of 16 they aren't.
        ("skylake-avx512", "nchw16c", {"nchw16c", "nchw10c", "nchw8c", "nchw6c", "nchw"}),
        ("haswell", "nchw8c", {"nchw8c", "nchw"}),
        ("nehalem", "nchw4c", {"nchw4c", "nchw"}),
    ],
)
def test_blocks_are_as_wide_as_the_vectors_of_the_target(
    engine: EngineClient, everything: PreparedModel, mcpu: str, block: str, blocks: set[str]
) -> None:
    tasks = extracted(engine, everything, f"llvm -mcpu={mcpu} -num-cores=2", "blocked").tasks
    # The convolution to 64 channels.
    assert max(tasks, key=lambda task: task.workload.flops).name.startswith(f"fused_conv2d_{block}")
    names = " ".join(task.name for task in tasks)
    assert {*re.findall(r"conv2d_(?:transpose_)?(nchw\d*c?)", names)} == blocks


def test_a_model_whose_groups_and_shuffles_know_no_blocks_is_not_filled_with_transforms(
    engine: EngineClient, tmp_path: Path
) -> None:
    g = Graph()
    data = g.conv("x", 36, 3)
    shape = g.constant([1, 18, 2, 21, 20], "int64")
    flat = g.constant([1, 36, 21, 20], "int64")
    for _ in range(3):
        data = g.node("Relu", g.conv(data, 36, 2, group=18))
        data = g.node("Reshape", data, shape)
        data = g.node("Reshape", g.node("Transpose", data, perm=[0, 2, 1, 3, 4]), flat)
    model = g.save(tmp_path / "shuffle.onnx")
    calls = {
        layout: sum(task.weight for task in extracted(engine, model, WIDE, layout).tasks)
        for layout in LAYOUTS
    }
    assert calls["auto"] == min(calls.values())
    assert calls["blocked"] > calls["auto"]


def test_a_model_without_convolutions_is_the_same_in_every_layout(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path
) -> None:
    g = Graph()
    g.node("Relu", g.node("MatMul", "x", g.weight(20, 8)))
    model = g.save(tmp_path / "dense.onnx")
    found = [
        {task.workload.hash for task in extracted(engine, model, device.target, layout).tasks}
        for layout in LAYOUTS
    ]
    assert found == [found[0]] * len(LAYOUTS)


def test_a_layout_that_is_none_is_refused_with_the_names_of_those_there_are(engine: EngineClient) -> None:
    with pytest.raises(UsageError, match="'nchw64c', but auto, blocked, mixed, nhwc, nchw"):
        engine.traits.check_layout("nchw64c")
