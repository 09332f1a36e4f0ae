"""Operators between convolutions: right in every layout, and without a transform where blocks suffice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tvm_ffi import structural_equal

from tests.kit.compiled_models import disagreement
from tests.kit.layout_graphs import Graph
from workers.clients import EngineClient
from workers.engines.metaschedule import model as engine_model
from workers.engines.metaschedule.layouts import chosen_layout, with_layout
from workers.engines.metaschedule.targets import parse_target
from workers.messages import DeviceInfo, PreparedModel

# How many transforms blocks take depends on their width, and so on the machine: this one has vectors of 16.
WIDE = "llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512 -num-cores=2"
Outputs = dict[str, int]


def reductions(g: Graph) -> Outputs:
    """Over the image, the channels and both, with and without their axes."""
    data = g.node("Relu", g.conv("x", 24, 3, 3))
    gate = g.node("ReduceMean", data, axes=[-1, -2], keepdims=1)
    gate = g.node("Sigmoid", g.conv(g.node("Relu", g.conv(gate, 6, 24)), 24, 6))
    scaled = g.node("Mul", data, gate)
    flat = g.node("ReduceMean", scaled, axes=[3, 2], keepdims=0)
    return {
        g.conv(scaled, 40, 24): 4,
        g.node("MatMul", flat, g.weight(24, 5)): 2,
        g.node("Mul", scaled, g.node("ReduceMax", scaled, axes=[1], keepdims=1)): 4,
        g.node("ReduceMin", scaled, axes=[1], keepdims=0): 3,
        g.node("Add", scaled, g.node("ReduceL2", scaled, axes=[2], keepdims=1)): 4,
        g.node("ReduceSum", scaled, g.constant([-1], "int64"), keepdims=1): 4,
        g.node("ReduceProd", g.node("Sigmoid", scaled), axes=[1, 2, 3], keepdims=0): 1,
        g.node("ReduceMean", scaled, keepdims=1): 4,
        g.node("Relu", g.node("Softmax", scaled, axis=3)): 4,
        g.node("Flatten", g.node("GlobalMaxPool", scaled)): 2,
        g.node("Squeeze", g.node("GlobalAveragePool", scaled), g.constant([2, 3], "int64")): 2,
    }


def parts(g: Graph) -> Outputs:
    """Split, sliced, and put together again, of sizes that are and aren't multiples of one another."""
    data = g.node("Relu", g.conv("x", 48, 3, 3))
    one, two = g.nodes_of("Split", 2, data, axis=1)
    inner = g.conv(two, 24, 24, 3, pads=[1, 1, 1, 1])
    third = g.conv("x", 10, 3, 3)
    rest = g.nodes_of("Split", 3, data, g.constant([16, 7, 25], "int64"), axis=1)

    def sliced(start: list[int], stop: list[int], axes: list[int], steps: list[int]) -> str:
        return g.node("Slice", data, *(g.constant(values, "int64") for values in (start, stop, axes, steps)))

    return {
        g.conv(g.node("Concat", one, two, inner, axis=1), 16, 72): 4,
        g.node("Relu", g.node("Concat", data, third, axis=1)): 4,
        g.node("Relu", g.node("Concat", inner, g.conv("x", 16, 3, 3), axis=-3)): 4,
        g.node("Relu", g.node("Concat", data, data, axis=2)): 4,
        g.conv(rest[0], 8, 16): 4,
        g.node("Relu", rest[1]): 4,
        g.node("Relu", rest[2]): 4,
        g.conv(sliced([0, 1], [24, 9], [1, 2], [2, 3]), 8, 12): 4,
        g.conv(sliced([-8], [1000], [-3], [1]), 8, 8): 4,
        g.conv(sliced([3], [0], [3], [-1]), 8, 48): 4,
        g.conv(g.nodes_of("Split", 2, data, g.constant([2, 4], "int64"), axis=3)[1], 8, 48): 4,
    }


def norms(g: Graph) -> Outputs:
    """Normalizations of batches, groups and channels, as exports write them."""

    def batch_norm(data: str, channels: int) -> str:
        spread = g.weight(channels, low=0.5, high=2.0)
        return g.node("BatchNormalization", data, *(g.weight(channels) for _ in "sbm"), spread, epsilon=1e-3)

    def group_norm(data: str, channels: int, groups: int) -> str:
        made = g.node("Reshape", data, g.constant([0, groups, -1], "int64"))
        ones, zeros = g.constant([1.0] * groups, "float32"), g.constant([0.0] * groups, "float32")
        made = g.node("InstanceNormalization", made, ones, zeros, epsilon=1e-5)
        made = g.node("Reshape", made, g.node("Shape", data))
        return g.node("Add", g.node("Mul", made, g.weight(channels, 1, 1)), g.weight(channels, 1, 1))

    first = g.conv("x", 24, 3, 3)
    second = g.node("Relu", batch_norm(g.node("Relu", first), 24))
    data = g.conv("x", 64, 3, 3)
    grouped = [g.node("Relu", group_norm(data, 64, groups)) for groups in (1, 4, 16, 64)]
    instance = g.node("InstanceNormalization", data, g.weight(64), g.weight(64))
    pixels = g.node("Transpose", g.node("Reshape", data, g.constant([1, 64, -1], "int64")), perm=[0, 2, 1])
    return {
        g.conv(second, 16, 24): 4,
        batch_norm(g.conv(second, 24, 1, 3, group=24, pads=[1, 1, 1, 1]), 24): 4,
        **{g.conv(one, 16, 64): 4 for one in grouped},
        g.node("Relu", instance): 4,
        g.node("MatMul", pixels, g.weight(64, 8)): 3,
        g.node("Sigmoid", g.node("Transpose", data, perm=[0, 2, 3, 1])): 4,
        g.node("Sigmoid", g.node("Reshape", g.node("Tanh", grouped[1]), g.constant([1, 8, 336], "int64"))): 3,
    }


def group_norms(g: Graph) -> Outputs:
    """Normalizations of groups as one operator, in groups of a part of a block and of several."""
    g.opset = 21
    data = g.conv("x", 64, 3, 3)

    def norm(groups: int) -> str:
        return g.node("GroupNormalization", data, g.weight(64), g.weight(64), num_groups=groups)

    return {g.conv(g.node("Relu", norm(groups)), 16, 64): 4 for groups in (2, 16)}


def attention(g: Graph) -> Outputs:
    """Branches weighed against each other, and the heads of a detector."""
    one, two = (g.node("Relu", g.conv("x", 32, 3, 3)) for _ in "ab")
    axis = g.constant([1], "int64")
    stacked = g.node("Concat", g.node("Unsqueeze", one, axis), g.node("Unsqueeze", two, axis), axis=1)
    summed = g.node("ReduceSum", stacked, axis, keepdims=0)
    gate = g.conv(g.node("GlobalAveragePool", summed), 64, 32)
    gate = g.node("Softmax", g.node("Reshape", gate, g.constant([1, 2, 32, 1, 1], "int64")), axis=1)
    chosen = g.node("ReduceSum", g.node("Mul", stacked, gate), axis, keepdims=0)
    smaller = g.node("MaxPool", chosen, kernel_shape=[2, 2], strides=[2, 2])
    flat = g.constant([1, 48, -1], "int64")
    heads = [g.node("Reshape", g.conv(data, 48, 32), flat) for data in (chosen, smaller)]
    odd = g.node("Unsqueeze", g.conv("x", 8, 3, 3), axis)
    return {
        g.conv(chosen, 8, 32): 4,
        g.node("Sigmoid", g.node("Concat", *heads, axis=2)): 3,
        g.node("ReduceMax", g.node("Concat", odd, odd, odd, axis=1), axes=[1], keepdims=0): 4,
        g.node("Mul", g.node("Concat", odd, odd, axis=2), g.weight(1, 1, 16, 1, 1)): 5,
    }


def elementwise(g: Graph) -> Outputs:
    """Activations, and operands of all shapes that broadcast."""
    data = g.conv("x", 24, 3, 3)
    other = g.conv("x", 24, 3, 3)
    row = g.node("Sigmoid", g.conv(g.node("GlobalAveragePool", data), 24, 24))
    plane = g.node("Sigmoid", g.conv(data, 1, 24))
    above = g.node("Greater", data, other)
    swish = g.node("HardSwish", data)
    gelu = g.node("Erf", g.node("Div", data, g.constant(1.4142135, "float32")))
    gelu = g.node("Mul", g.node("Mul", data, g.node("Add", gelu, g.constant(1.0, "float32"))), other)
    return {
        g.node("Where", above, data, swish): 4,
        g.node("PRelu", gelu, g.weight(24, 1, 1)): 4,
        g.node("PRelu", other, g.weight(1)): 4,
        g.node("Mul", row, plane): 4,
        g.node("Add", row, g.weight(1, 1, 7, 6)): 4,
        g.node("Max", data, g.weight(24, 1, 1)): 4,
        g.node("Min", g.node("Elu", data), other, g.weight(1, 24, 7, 6)): 4,
        g.node("Selu", g.node("Softplus", data)): 4,
        g.node("Clip", g.node("HardSigmoid", data), g.constant(0.2, "float32")): 4,
        g.node("LeakyRelu", g.node("Sub", g.constant(1.0, "float32"), data)): 4,
    }


def groups(g: Graph) -> Outputs:
    """Convolutions whose groups are narrower than the blocks before them."""
    data = g.node("Relu", g.conv("x", 48, 3, 3, strides=[2, 2]))
    narrow = g.node("Relu", g.conv(data, 48, 8, 3, group=6, pads=[1, 1, 1, 1]))
    gate = g.node("Sigmoid", g.conv(g.node("GlobalAveragePool", narrow), 48, 48))
    odd = g.node("Relu", g.conv("x", 36, 3, 3))
    return {
        g.conv(g.node("Mul", narrow, gate), 32, 48): 4,
        g.conv(odd, 36, 1, 3, group=36): 4,
        g.conv(odd, 36, 9, 1, group=4): 4,
        g.conv(odd, 72, 1, 1, group=36): 4,
    }


# What is left in blocks, besides the outputs: by the operator that asked for it.
FAMILIES: list[tuple[Callable[[Graph], Outputs], dict[str, int]]] = [
    (reductions, {}),
    # 48 and 10 have no block in common.
    (parts, {"relax.concat": 3}),
    (norms, {}),
    (group_norms, {}),
    # Tensors with an axis more, side by side in the channels.
    (attention, {}),
    # The importer reads Max and Min as those over tensors that are stacked.
    (elementwise, {"relax.stack": 3}),
    # Two results for each channel.
    (groups, {"relax.nn.conv2d": 1}),
]
EACH = pytest.mark.parametrize("family", [family for family, _ in FAMILIES], ids=lambda f: f.__name__)


def prepared(family: Callable[[Graph], Outputs], folder: Path) -> PreparedModel:
    graph = Graph((1, 3, 9, 8))
    return graph.save_with(folder / "model.onnx", family(graph))


@EACH
@pytest.mark.parametrize(
    "layout", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("nchw", "nhwc")), "blocked"]
)
def test_operators_give_the_outputs_of_onnxruntime(
    engine: EngineClient,
    device: DeviceInfo,
    tmp_path: Path,
    family: Callable[[Graph], Outputs],
    layout: str,
) -> None:
    model = replace(prepared(family, tmp_path), layout=layout)
    assert not disagreement(engine, model, device.target)


@EACH
def test_what_auto_takes_is_one_of_the_layouts(tmp_path: Path, family: Callable[[Graph], Outputs]) -> None:
    target = parse_target(WIDE)
    module = engine_model.in_nchw(prepared(family, tmp_path), target)
    taken = chosen_layout(module, target).laid
    same = with_layout(module, taken.layout, target)
    assert structural_equal(taken.module, same.module, map_free_vars=True)


@pytest.mark.parametrize(("family", "left"), FAMILIES, ids=lambda one: getattr(one, "__name__", ""))
def test_operators_take_blocks_as_they_are(
    tmp_path: Path, family: Callable[[Graph], Outputs], left: dict[str, int]
) -> None:
    module = engine_model.in_nchw(prepared(family, tmp_path), parse_target(WIDE))
    laid = with_layout(module, "blocked", parse_target(WIDE))
    causes = Counter(one.cause for one in laid.transforms)
    assert causes.pop("outputs") <= len(laid.transforms)
    assert causes == left
