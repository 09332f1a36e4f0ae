"""Blocks wider than what they hold: places without a channel mean nothing, whatever is computed of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tvm.tirx import PrimFunc

from tests.kit.compiled_models import disagreement
from tests.kit.layout_graphs import Graph
from workers.clients import EngineClient
from workers.engines.metaschedule import model as engine_model
from workers.engines.metaschedule.layouts import convolutions, with_layout
from workers.engines.metaschedule.layouts.apart import laid_apart
from workers.engines.metaschedule.layouts.channels import Channels
from workers.engines.metaschedule.layouts.places import table_for
from workers.engines.metaschedule.layouts.tensors import op_name
from workers.engines.metaschedule.layouts.widths import Widths, share_of_rate
from workers.engines.metaschedule.targets import parse_target
from workers.messages import PreparedModel

# Vectors of 8: of what these graphs have, 58, 20, 10, 7 and 5 channels fill none.
NARROW = "llvm -mtriple=x86_64-linux-gnu -mcpu=haswell -num-cores=2"
Outputs = dict[str, int]


def beginning(g: Graph) -> str:
    """Return 58 channels of which so much is computed that half vectors would take longer."""
    data = g.node("Relu", g.conv("x", 58, 3, 3))
    return g.node("Relu", g.conv(data, 58, 58, 3, pads=[1, 1, 1, 1]))


def convolved(g: Graph) -> Outputs:
    """All kinds of convolutions, one after the other, of channels that fill no vector."""
    deep = beginning(g)
    data = g.node("Relu", g.conv(deep, 58, 58))
    each = g.conv(data, 58, 1, 3, group=58, pads=[1, 1, 1, 1])
    both = g.node("Add", g.conv(each, 58, 58, 3, pads=[1, 1, 1, 1]), data)
    halves = g.node("Relu", g.conv(both, 20, 29, 3, group=2))
    larger = g.node("ConvTranspose", data, g.weight(58, 7, 3, 3), g.weight(7), strides=[2, 2])
    apart = g.node("ConvTranspose", both, g.weight(58, 1, 2, 2), group=58, strides=[2, 2])
    return {
        g.conv(halves, 12, 20): 4,
        g.conv(halves, 40, 10, 1, group=2): 4,
        g.conv(g.conv(deep, 36, 58), 20, 9, 1, group=4): 4,
        g.node("Sigmoid", larger): 4,
        g.conv(apart, 10, 58): 4,
    }


def unbounded(g: Graph) -> Outputs:
    """What isn't a number for some numbers, the places without a channel among them."""
    deep = beginning(g)
    data = g.node("Abs", g.conv(deep, 10, 58))
    data = g.node("Add", data, g.constant([[[[0.5]]] * 10], "float32"))

    def read(name: str) -> str:
        return g.conv(name, 12, 10)

    exponent = g.constant([[[[-1.5]]] * 10], "float32")
    return {
        read(g.node("Log", data)): 4,
        read(g.node("Sqrt", g.node("Sub", data, g.constant([[[[0.1]]] * 10], "float32")))): 4,
        read(g.node("Reciprocal", data)): 4,
        read(g.node("Div", g.constant([[[[1.0]]] * 10], "float32"), data)): 4,
        read(g.node("Div", data, g.weight(1, 10, 1, 1, low=1, high=2))): 4,
        read(g.node("Div", g.conv(deep, 10, 58), data)): 4,
        read(g.node("Pow", data, exponent)): 4,
        read(g.node("Exp", data)): 4,
        read(g.node("Softmax", g.node("Neg", data), axis=2)): 4,
    }


def over_channels(g: Graph) -> Outputs:
    """Sums, norms and the largest of channels, of which some places are none."""
    deep = beginning(g)
    data = g.node("Sub", g.conv(deep, 10, 58), g.constant(3.0, "float32"))
    centred = g.node("Sub", data, g.node("ReduceMean", data, axes=[1], keepdims=1))
    square = g.node("ReduceMean", g.node("Mul", centred, centred), axes=[1], keepdims=1)
    normed = g.node("Div", centred, g.node("Sqrt", g.node("Add", square, g.constant(1e-5, "float32"))))
    gate = g.node("Sigmoid", g.conv(g.node("Relu", g.conv(g.node("GlobalAveragePool", data), 5, 10)), 10, 5))
    return {
        g.conv(normed, 6, 10): 4,
        g.conv(g.node("Mul", data, gate), 6, 10): 4,
        g.node("Sigmoid", g.node("ReduceMax", data, axes=[1], keepdims=1)): 4,
        g.node("Sigmoid", g.node("ReduceMin", g.node("Neg", data), axes=[1], keepdims=0)): 3,
        g.node("ReduceProd", g.node("Sigmoid", data), axes=[1], keepdims=1): 4,
        g.node("ReduceMean", data, keepdims=1): 4,
        g.node("ReduceSum", data, g.constant([1, 2], "int64"), keepdims=0): 2,
        g.node("Softmax", data, axis=1): 4,
        g.node("MatMul", g.node("ReduceMean", data, axes=[2, 3], keepdims=0), g.weight(10, 3)): 2,
        g.node("Flatten", g.node("GlobalMaxPool", data)): 2,
        g.node("InstanceNormalization", data, g.weight(10), g.weight(10)): 4,
    }


def shuffled(g: Graph, data: str, groups: int, channels: int) -> str:
    """Put the channels of groups beside each other, the first of each first."""
    apart = g.constant([1, groups, channels // groups, 7, 6], "int64")
    swapped = g.node("Transpose", g.node("Reshape", data, apart), perm=[0, 2, 1, 3, 4])
    return g.node("Reshape", swapped, g.constant([1, channels, 7, 6], "int64"))


def units(g: Graph, deep: str) -> str:
    """Put two tensors side by side, shuffle and split them, as in a ShuffleNet; twice."""
    left, data = g.conv(deep, 58, 58), g.node("Relu", g.conv(deep, 58, 58))
    for _ in range(2):
        left, right = g.nodes_of(
            "Split", 2, shuffled(g, g.node("Concat", left, data, axis=1), 2, 116), axis=1
        )
        right = g.node("Relu", g.conv(right, 58, 58))
        data = g.conv(g.conv(right, 58, 1, 3, group=58, pads=[1, 1, 1, 1]), 58, 58)
    return shuffled(g, g.node("Concat", left, data, axis=1), 2, 116)


def shuffles(g: Graph) -> Outputs:
    """Units of a ShuffleNet alone."""
    return {g.conv(units(g, beginning(g)), 24, 116): 4}


def put_together(g: Graph) -> Outputs:
    """Parts of channels, between others or not, that fill no block; and in other orders."""
    deep = beginning(g)
    last, data = units(g, deep), g.node("Relu", g.conv(deep, 58, 58))
    few, more = g.conv(deep, 10, 58), g.conv(deep, 7, 58)
    mixed = g.node("Concat", few, data, more, axis=1)
    three = g.nodes_of("Split", 3, mixed, g.constant([5, 60, 10], "int64"), axis=1)
    scattered = shuffled(g, g.node("Relu", shuffled(g, mixed, 5, 75)), 3, 75)
    return {
        g.conv(last, 24, 116): 4,
        g.node("Relu", last): 4,
        g.conv(mixed, 8, 75): 4,
        g.conv(g.node("Concat", few, data, few, axis=1), 8, 78): 4,
        g.conv(three[1], 8, 60): 4,
        g.node("Sigmoid", three[2]): 4,
        g.node("Add", scattered, mixed): 4,
        g.conv(scattered, 5, 75): 4,
        g.node("Relu", g.node("Concat", few, few, axis=3)): 4,
    }


def resized(g: Graph) -> Outputs:
    """Images of channels that fill no block: smaller, larger, cut, and with something around them."""
    deep = beginning(g)
    data = g.node("Relu", g.conv(deep, 20, 58))
    small = g.node("MaxPool", data, kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1])
    mean = g.node("AveragePool", data, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    sizes = g.constant([1, 1, 2, 2], "float32")
    larger = g.node("Resize", small, "", sizes, mode="linear")
    padded = g.node("Pad", data, g.constant([0, 0, 1, 2, 0, 0, 0, 1], "int64"))
    deeper = g.node("Pad", data, g.constant([0, 3, 0, 0, 0, 1, 0, 0], "int64"))
    pixels = g.node("DepthToSpace", data, blocksize=2)
    slopes = g.node("PRelu", g.conv(deep, 20, 58), g.weight(20, 1, 1))
    return {
        g.conv(larger, 8, 20): 4,
        g.conv(g.node("Add", mean, slopes), 8, 20): 4,
        g.conv(padded, 8, 20): 4,
        g.conv(deeper, 8, 24): 4,
        g.conv(pixels, 8, 5): 4,
        g.node("Transpose", data, perm=[0, 2, 3, 1]): 4,
        g.node("Sigmoid", g.node("Reshape", data, g.constant([1, 20, -1], "int64"))): 3,
    }


# What is left in blocks, besides the outputs: by the operator that asked for it.
FAMILIES: list[tuple[Callable[[Graph], Outputs], dict[str, int]]] = [
    (convolved, {}),
    (unbounded, {}),
    # Of channels, and of an image with its normalization in one operator.
    (over_channels, {"relax.nn.softmax": 1}),
    # Channels in one order and in another.
    (put_together, {"relax.add": 1}),
    # Channels around others, and a reshape that is none of groups of them.
    (resized, {"relax.nn.pad": 1, "relax.reshape": 1}),
]
EACH = pytest.mark.parametrize("family", [family for family, _ in FAMILIES], ids=lambda f: f.__name__)


def prepared(family: Callable[[Graph], Outputs], folder: Path) -> PreparedModel:
    graph = Graph((1, 3, 9, 8))
    return graph.save_with(folder / "model.onnx", family(graph))


@EACH
def test_channels_that_fill_no_vector_give_the_outputs_of_onnxruntime(
    engine: EngineClient, tmp_path: Path, family: Callable[[Graph], Outputs]
) -> None:
    model = replace(prepared(family, tmp_path), layout="blocked")
    assert not disagreement(engine, model, NARROW)


@pytest.mark.parametrize(("family", "left"), FAMILIES, ids=lambda one: getattr(one, "__name__", ""))
def test_places_without_a_channel_take_no_transform(
    tmp_path: Path, family: Callable[[Graph], Outputs], left: dict[str, int]
) -> None:
    module = engine_model.in_nchw(prepared(family, tmp_path), parse_target(NARROW))
    laid = with_layout(module, "blocked", parse_target(NARROW))
    causes = Counter(one.cause for one in laid.transforms)
    del causes["outputs"]
    assert causes == left
    assert list(convolutions(laid.module)) == []
    # There are such places.
    assert sum(one.flops for one in laid.kernels) > sum(one.flops for one in laid.convolutions)


@pytest.mark.parametrize(
    ("channels", "lanes", "block", "size"),
    [
        (64, 16, 16, 64),
        (24, 8, 8, 24),
        # Whole vectors for little more arithmetic than half ones.
        (116, 8, 8, 120),
        (58, 8, 8, 64),
        (1000, 16, 16, 1008),
        (10, 8, 8, 16),
        (6, 8, 8, 8),
        # For twice as much, half ones.
        (4, 8, 4, 4),
        (8, 16, 8, 8),
        (4, 4, 4, 4),
    ],
)
def test_a_block_is_a_vector_where_that_is_less_arithmetic_in_the_end(
    channels: int, lanes: int, block: int, size: int
) -> None:
    found = Widths(lanes).choose(channels)
    assert found is not None
    assert (found.block, found.size, found.count) == (block, size, channels)


@pytest.mark.parametrize("channels", [1, 2, 3, 9])
def test_channels_that_would_leave_most_of_a_vector_empty_stay_in_rows(channels: int) -> None:
    assert Widths(8).choose(channels) is None


def test_half_vectors_are_half_as_fast_and_odd_ones_no_faster_than_rows() -> None:
    assert (share_of_rate(8, 8), share_of_rate(4, 8), share_of_rate(8, 16)) == (1, 0.5, 0.5)
    assert share_of_rate(6, 8) == share_of_rate(4, 16) == share_of_rate(0, 8) == pytest.approx(0.47)


def test_each_place_is_read_from_where_its_channel_lies() -> None:
    had = Channels.in_order(10, 8).beside(Channels.in_order(3, 8)).taken([11, 0, 12, 9])
    assert (had.size, had.places) == (24, (17, 0, 18, 9))
    wanted = Channels(4, 8, (1, 0, 2, 5))
    assert wanted.sources(had) == [0, 17, 18, -1, -1, 9, -1, -1]
    laid = wanted.spread(np.arange(1.0, 5.0)[None], 1)
    assert laid.tolist() == [[2, 1, 3, 0, 0, 4, 0, 0]]


def test_places_are_looked_up_only_where_they_follow_no_rule() -> None:
    shuffled = [part * 64 + n for n in range(29) for part in (0, 1)]
    assert table_for(shuffled) is None
    assert table_for([*range(29, 58), *range(93, 122), *[-1] * 6]) is None
    scattered = [n * n % 101 for n in range(1, 40)]
    assert table_for(scattered) is not None


def test_units_of_a_shufflenet_copy_whole_blocks_of_what_is_read_and_shuffle_nothing(tmp_path: Path) -> None:
    module = engine_model.in_nchw(prepared(shuffles, tmp_path), parse_target(NARROW))
    laid = with_layout(module, "blocked", parse_target(NARROW)).module
    called = Counter(
        op_name(binding.value).removeprefix("relax.")
        for block in laid["main"].body.blocks
        for binding in block.bindings
    )
    # Of the two tensors before each unit, one half goes into the convolution; and what is left at the end.
    assert (called["concat"], called["layout_transform"], called["split"]) == (3, 0, 0)
    names = [var.name_hint for var, func in laid.functions.items() if isinstance(func, PrimFunc)]
    assert not [name for name in names if name.startswith(("split", "shuffle", "gathered"))]
    assert sum(one.flops for one in convolutions(laid)) == 0


def test_channels_that_are_read_apart_begin_at_blocks_of_their_own() -> None:
    channels = Channels.in_order(58, 8)
    halves = np.arange(58) // 29
    assert laid_apart(channels, halves) == Channels(8, 64, (*range(29), *range(32, 61)))
    again = np.select([np.arange(58) < 8, np.arange(58) < 15, np.arange(58) < 29], [0, 1, 2], 3)
    laid = laid_apart(channels, again)
    assert (laid.size, laid.places[:15], laid.places[15], laid.places[29]) == (64, (*range(15),), 16, 32)
    # Where they would be many more, they stay in order.
    assert laid_apart(Channels.in_order(20, 8), np.arange(20) // 10) == Channels.in_order(20, 8)
    assert laid_apart(channels, None) == channels
