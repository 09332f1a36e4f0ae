"""Volumes in blocks: convolutions along three axes, and what lies between them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.kit.compiled_models import disagreement
from tests.kit.layout_graphs import Graph
from workers.clients import EngineClient
from workers.engines.metaschedule import model as engine_model
from workers.engines.metaschedule.layouts import convolutions, with_layout
from workers.engines.metaschedule.targets import parse_target
from workers.messages import PreparedModel

NARROW = "llvm -mtriple=x86_64-linux-gnu -mcpu=haswell -num-cores=2"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PreparedModel:
    """Channels that fill vectors and don't, strides, groups, gaps, and all that stays in blocks."""
    g = Graph((1, 3, 6, 9, 8))

    def conv(data: str, out: int, channels: int, *kernel: int, **attributes: object) -> str:
        kernel = kernel or (1, 1, 1)
        return g.node("Conv", data, g.weight(out, channels, *kernel), g.weight(out), **attributes)

    first = conv("x", 20, 3, 3, 3, 3, pads=[1, 0, 1, 1, 2, 1], strides=[1, 2, 1])
    spread = g.weight(20, low=0.5, high=2.0)
    normed = g.node("BatchNormalization", first, *(g.weight(20) for _ in "sbm"), spread)
    data = g.node("Relu", normed)
    each = conv(data, 20, 1, 3, 3, 3, group=20, pads=[1] * 6)
    deep = g.node("Relu", g.node("Add", conv(each, 20, 20, 3, 3, 3, pads=[1] * 6), data))
    halves = conv(deep, 16, 10, 1, 2, 2, group=2, dilations=[1, 1, 2])
    pooled = g.node("MaxPool", deep, kernel_shape=[2, 2, 2], strides=[2, 1, 2], pads=[0, 1, 0, 0, 0, 0])
    mean = g.node("AveragePool", deep, kernel_shape=[3, 1, 3], strides=[1, 1, 1])
    both = g.node("Concat", deep, g.node("Sigmoid", conv(deep, 10, 20)), axis=1)
    one, two = g.nodes_of("Split", 2, both, g.constant([13, 17], "int64"), axis=1)
    gate = g.node("Sigmoid", conv(g.node("GlobalAveragePool", deep), 20, 20))
    start, stop, axes = (g.constant(values, "int64") for values in ([1, 0], [4, 3], [2, 4]))
    corner = g.node("Slice", deep, start, stop, axes)
    upsampled = g.node("ConvTranspose", pooled, g.weight(20, 8, 2, 2, 2), strides=[2, 2, 2])
    flat = g.node("Flatten", g.node("GlobalMaxPool", deep))
    return g.save_with(
        tmp_path_factory.mktemp("volumes") / "volumes.onnx",
        {
            halves: 5,
            conv(pooled, 8, 20): 5,
            conv(mean, 8, 20, 1, 3, 1): 5,
            conv(one, 8, 13): 5,
            conv(g.node("Tanh", two), 8, 17): 5,
            conv(g.node("Mul", deep, gate), 8, 20): 5,
            conv(g.node("Log", g.node("Add", corner, g.constant(1.0, "float32"))), 8, 20): 5,
            conv(g.node("Sub", deep, g.node("ReduceMean", deep, axes=[1], keepdims=1)), 8, 20): 5,
            g.node("Relu", conv(upsampled, 8, 8)): 5,
            g.node("MatMul", flat, g.weight(20, 4)): 2,
        },
    )


@pytest.mark.parametrize("layout", ["nhwc", "blocked"])
def test_volumes_give_the_outputs_of_onnxruntime(
    engine: EngineClient, model: PreparedModel, layout: str
) -> None:
    assert not disagreement(engine, replace(model, layout=layout), NARROW)


def test_volumes_stay_in_blocks_but_for_transposed_convolutions(model: PreparedModel) -> None:
    module = engine_model.in_nchw(model, parse_target(NARROW))
    laid = with_layout(module, "blocked", parse_target(NARROW))
    causes = Counter(one.cause for one in laid.transforms)
    assert causes.pop("outputs") == 9
    assert causes == {"relax.nn.conv3d_transpose": 1}
    (left,) = convolutions(laid.module)
    assert {one.source for one in laid.transforms} <= {"ncdhw8c"}
    assert not left.depthwise
