"""Convolutions of groups of channels: in NHWC, where a vector would reach from one group into the next."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kit.compiled_models import disagreement
from tests.kit.layout_graphs import Graph
from workers.clients import EngineClient
from workers.engines.metaschedule.starter.begin import begun_record
from workers.engines.metaschedule.starter.sketches import sketch_of
from workers.engines.metaschedule.targets import parse_target
from workers.engines.metaschedule.workload import load_module
from workers.messages import DeviceInfo, PreparedModel

WIDE = "llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512 -num-cores=2"
LAYOUTS = ("nhwc", "blocked")


def shuffled(g: Graph, data: str, groups: int, channels: int) -> str:
    """Put the channels of groups beside each other, the first of each first."""
    apart = g.constant([1, groups, channels // groups, 21, 20], "int64")
    data = g.node("Transpose", g.node("Reshape", data, apart), perm=[0, 2, 1, 3, 4])
    return g.node("Reshape", data, g.constant([1, channels, 21, 20], "int64"))


def saved(g: Graph, path: Path, layout: str, **outputs: int) -> PreparedModel:
    return replace(g.save_with(path, outputs), layout=layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("groups", "of_group"),
    [
        (4, 34),  # more than two vectors of 16
        (3, 5),
        (2, 16),
        (4, 3),  # too few for a vector of its own
        (5, 1),  # each by itself
    ],
)
def test_units_of_groups_and_shuffles_give_the_outputs_of_onnxruntime(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path, layout: str, groups: int, of_group: int
) -> None:
    channels = groups * of_group
    g = Graph()
    stem = g.node("Relu", g.conv("x", channels, 3))
    data = g.node("Relu", g.conv(stem, channels, of_group, group=groups))
    data = shuffled(g, data, groups, channels)
    data = g.conv(data, channels, 1, 3, group=channels, pads=[1, 1, 1, 1])
    data = g.node("Add", g.conv(data, channels, of_group, group=groups), stem)
    larger = g.conv(data, 2 * channels, of_group, 3, group=groups, strides=[2, 2], dilations=[2, 1])
    y = g.node("Concat", g.node("Sigmoid", larger), g.conv(larger, 7, 2 * channels), axis=1)
    assert not disagreement(engine, saved(g, tmp_path / "unit.onnx", layout, **{y: 4}), device.target)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_groups_are_read_from_the_blocks_of_other_groups(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path, layout: str
) -> None:
    g = Graph()
    data = g.conv(g.conv("x", 60, 3), 60, 20, group=3)
    outputs = {
        g.conv(data, 40, 12, group=5): 4,  # 12 of blocks of 20
        g.conv(data, 24, 10, 3, group=6): 4,
        g.conv(data, 20, 30, group=2): 4,
        g.conv(data, 60, 1, 3, group=60): 4,
        g.conv(data, 120, 1, 3, group=60): 4,
        g.node("ConvTranspose", data, g.weight(60, 7, 2, 2), group=2, strides=[2, 2]): 4,
        g.node("ConvTranspose", data, g.weight(60, 1, 2, 2), group=60, strides=[2, 2]): 4,
        g.node("MaxPool", data, kernel_shape=[2, 2]): 4,
        g.node("ReduceMean", data, axes=[1, 2, 3]): 4,
        g.node("Resize", data, "", g.constant([1, 1, 2, 2], "float32"), mode="nearest"): 4,
        g.node("Pad", data, g.constant([0, 2, 1, 1, 0, 2, 1, 1], "int64")): 4,
    }
    assert not disagreement(engine, saved(g, tmp_path / "groups.onnx", layout, **outputs), device.target)


# Vectors and numbers alike in NHWC; in blocks of half a vector one of these, with 28 numbers.
@pytest.mark.parametrize(("layout", "of_group", "least"), [("nhwc", 34, 20), ("blocked", 8, 24)])
def test_a_kernel_of_groups_begins_with_a_tile_that_fills_the_registers(
    engine: EngineClient, tmp_path: Path, layout: str, of_group: int, least: int
) -> None:
    g = Graph((1, 8 * of_group, 28, 28))
    g.node("Relu", g.conv("x", 8 * of_group, of_group, 3, group=8, pads=[1, 1, 1, 1]))
    model = replace(g.save(tmp_path / "groups.onnx"), layout=layout)
    (work,) = [task.workload for task in engine.extract(model, WIDE).tasks if "conv2d" in task.name]
    target = parse_target(WIDE)
    record = begun_record(load_module(work.module), work.name, work.flops, target)
    assert record is not None
    tiles = sketch_of(record.candidate.trace, work.name).tiles
    assert math.prod(factors[-1] for factors in tiles if len(factors) == 4) >= least
