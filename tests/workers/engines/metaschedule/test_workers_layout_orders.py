"""Images whose axes are in another order, have more around them, or are rows: right in every layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from tvm import relax
from tvm.ir import assert_structural_equal

from tests.kit.compiled_models import disagreement
from tests.kit.layout_graphs import Graph
from workers.clients import EngineClient
from workers.engines.metaschedule.layouts import with_layout
from workers.engines.metaschedule.layouts.channels_first.images import with_channels_first
from workers.engines.metaschedule.model import in_nchw
from workers.engines.metaschedule.targets import parse_target
from workers.messages import DeviceInfo, PreparedModel

# How many transforms blocks take depends on their width, and so on the machine: this one has vectors of 16.
WIDE = "llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512 -num-cores=2"
LAST, FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
Outputs = dict[str, int]


def channels_last(g: Graph) -> Outputs:
    """What tf2onnx leaves of a model with its channels last: a Transpose around each convolution."""

    def last(data: str) -> str:
        return g.node("Transpose", data, perm=LAST)

    def first(data: str) -> str:
        return g.node("Transpose", data, perm=FIRST)

    data = last(g.conv("x", 24, 3, 3))
    low, high = g.constant(0.0, "float32"), g.constant(6.0, "float32")
    data = g.node("Mul", data, g.node("Clip", g.node("Add", data, g.weight(24)), low, high))
    padded = g.node("Pad", data, g.constant([0, 1, 0, 0, 0, 0, 2, 0], "int64"))
    data = last(g.conv(first(padded), 24, 1, 3, group=24, strides=[2, 2]))
    data = g.node("Relu", g.node("Mul", data, g.weight(1, 1, 1, 24)))
    gate = g.node("ReduceMean", data, axes=[1, 2], keepdims=1)
    gate = g.node("Sigmoid", last(g.conv(first(gate), 24, 24)))
    data = g.node("Mul", data, gate)
    flat = g.node("ReduceMean", data, axes=[1, 2], keepdims=0)
    again = g.node("Reshape", flat, g.constant([1, 1, 1, 24], "int64"))
    data = g.node("Add", data, last(g.conv(first(again), 24, 24)))
    both = g.node("Concat", data, last(g.conv(first(data), 24, 24)), axis=-1)
    part = g.node("Slice", both, *(g.constant(n, "int64") for n in ([1, 0], [9, 32], [1, 3], [1, 1])))
    return {
        g.conv(first(both), 8, 48): 4,
        g.conv(first(part), 8, 32): 4,
        g.node("Neg", first(g.node("Exp", part))): 4,
    }


def left_in_another_order(g: Graph) -> Outputs:
    """Images whose order somebody asks for, and operands that don't meet them."""
    data = g.conv("x", 24, 3, 3)
    last = g.node("Relu", g.node("Transpose", data, perm=LAST))
    plain = g.node("Transpose", "x", perm=LAST)
    part = g.node("Slice", plain, *(g.constant(n, "int64") for n in ([0, 0, 0], [19, 18, 1], [1, 2, 3])))
    return {
        last: 4,
        g.node("Reshape", last, g.constant([1, -1, 24], "int64")): 3,
        g.node("Add", last, part): 4,
        g.node("Mul", last, g.weight(18, 24)): 4,
        g.node("Transpose", last, perm=[0, 2, 1, 3]): 4,
        g.node("Relu", g.node("Transpose", data, perm=[0, 3, 2, 1])): 4,
        g.node("Softmax", last, axis=-1): 4,
    }


def convnext(g: Graph) -> Outputs:
    """A block of ConvNeXt: normalized and multiplied with the channels last."""
    data = g.conv("x", 24, 3, 4, strides=[4, 4])
    for _ in range(2):
        inner = g.conv(data, 24, 1, 3, group=24, pads=[1, 1, 1, 1])
        inner = g.node("Transpose", inner, perm=LAST)
        inner = g.node("LayerNormalization", inner, g.weight(24), g.weight(24), axis=-1, epsilon=1e-5)
        inner = g.node("Add", g.node("MatMul", inner, g.weight(24, 40)), g.weight(40))
        inner = g.node("Add", g.node("MatMul", g.node("Sigmoid", inner), g.weight(40, 24)), g.weight(24))
        inner = g.node("Mul", inner, g.weight(24))
        data = g.node("Add", data, g.node("Transpose", inner, perm=FIRST))
    return {g.conv(data, 8, 24): 4, g.conv(data, 6, 24): 4}


def pads(g: Graph) -> Outputs:
    """Of every mode; on channels, in whole blocks and not."""
    data = g.node("Relu", g.conv("x", 24, 3, 3))

    def pad(*widths: int, mode: str = "constant", value: float = 0.0) -> str:
        more = [g.constant(value, "float32")] if mode == "constant" else []
        return g.node("Pad", data, g.constant(widths, "int64"), *more, mode=mode)

    return {
        g.conv(pad(0, 0, 1, 2, 0, 0, 3, 0), 8, 24): 4,
        g.conv(pad(0, 0, 0, 1, 0, 0, 0, 1, value=-1.5), 8, 24): 4,
        g.conv(pad(0, 0, 2, 1, 0, 0, 3, 5, mode="reflect"), 8, 24): 4,
        g.conv(pad(0, 0, 2, 1, 0, 0, 0, 5, mode="edge"), 8, 24): 4,
        g.conv(pad(0, 8, 0, 0, 0, 16, 0, 0, value=0.5), 8, 48): 4,
        g.node("Relu", pad(0, 3, 0, 0, 0, 0, 0, 0)): 4,
    }


def pools_and_sizes(g: Graph) -> Outputs:
    """Pools and resizing in their modes."""
    data = g.node("Relu", g.conv("x", 24, 3, 3))

    def resize(mode: str, transformed: str, *scales: float, **attributes: object) -> str:
        return g.node(
            "Resize",
            data,
            "",
            g.constant([1, 1, *scales], "float32"),
            mode=mode,
            coordinate_transformation_mode=transformed,
            **attributes,
        )

    sizes = [
        resize("nearest", "half_pixel", 2, 3, nearest_mode="round_prefer_floor"),
        resize("linear", "align_corners", 2, 2),
        resize("linear", "half_pixel", 0.5, 1.5),
        resize("cubic", "half_pixel", 2, 2),
    ]
    odd = {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 0, 0, 1]}
    pools = [
        g.node("MaxPool", data, ceil_mode=1, **odd),
        g.node("MaxPool", data, kernel_shape=[3, 3], dilations=[2, 3]),
        g.node("AveragePool", data, ceil_mode=1, **odd),
        g.node("AveragePool", data, count_include_pad=1, **odd),
    ]
    return {g.conv(made, 8, 24): 4 for made in [*sizes, *pools]}


def signals(g: Graph) -> Outputs:
    """Convolutions along one axis, with what lies between them in models of sound."""

    def conv(data: str, out: int, channels: int, kernel: int, **attributes: object) -> str:
        return g.node("Conv", data, g.weight(out, channels, kernel), g.weight(out), **attributes)

    data = g.node("Relu", conv("x", 24, 3, 5, strides=[2], pads=[2, 1]))
    gated = g.node("Mul", g.node("Tanh", conv(data, 24, 24, 2, dilations=[2])), g.weight(24, 1))
    data = g.node("Add", gated, conv(data, 24, 24, 3))
    depth = conv(data, 24, 1, 3, group=24, pads=[1, 1])
    pooled = g.node("MaxPool", depth, kernel_shape=[2], strides=[2])
    last = g.node("Transpose", depth, perm=[0, 2, 1])
    normal = g.node("LayerNormalization", last, g.weight(24), g.weight(24), axis=-1)
    return {
        conv(g.node("Transpose", normal, perm=[0, 2, 1]), 8, 24, 1): 3,
        conv(g.node("AveragePool", pooled, kernel_shape=[3]), 12, 8, 2, group=3): 3,
        g.node("ConvTranspose", depth, g.weight(24, 10, 4), g.weight(10), strides=[2], pads=[1, 1]): 3,
        g.node("MatMul", normal, g.weight(24, 7)): 3,
        g.node("Slice", data, *(g.constant([n], "int64") for n in (2, 1000, 2))): 3,
    }


def shuffles(g: Graph) -> Outputs:
    """Channels in another order, and made places and back."""

    def shuffle(data: str, groups: int, channels: int) -> str:
        split = g.constant([1, groups, channels // groups, 18, 18], "int64")
        data = g.node("Transpose", g.node("Reshape", data, split), perm=[0, 2, 1, 3, 4])
        return g.node("Reshape", data, g.constant([1, channels, 18, 18], "int64"))

    data = g.node("Relu", g.conv("x", 48, 3, 3))
    data = g.conv(data, 48, 16, group=3)
    odd = g.conv(data, 58, 48)
    return {
        g.conv(shuffle(data, 2, 48), 12, 16, group=3): 4,
        g.conv(g.node("DepthToSpace", data, blocksize=2, mode="DCR"), 8, 12): 4,
        g.conv(g.node("DepthToSpace", data, blocksize=2, mode="CRD"), 8, 12): 4,
        g.conv(g.node("SpaceToDepth", data, blocksize=3), 8, 432): 4,
        g.conv(shuffle(odd, 2, 58), 8, 58): 4,
    }


def transposed(g: Graph) -> Outputs:
    """Transposed convolutions, of windows that overlap or leave gaps, in groups, dilated, cut off."""
    data = g.node("Relu", g.conv("x", 24, 3, 3))

    def conv(out: int, kernel: tuple[int, int], group: int = 1, **attributes: object) -> str:
        weights = g.weight(24, out // group, *kernel)
        return g.node("ConvTranspose", data, weights, g.weight(out), group=group, **attributes)

    return {
        conv(10, (4, 4), strides=[2, 2], pads=[1, 1, 1, 1]): 4,
        conv(16, (3, 3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]): 4,
        conv(8, (2, 3), strides=[3, 1], pads=[0, 1, 0, 0]): 4,
        conv(7, (5, 2), strides=[2, 3], pads=[2, 0, 1, 1]): 4,
        conv(8, (3, 3), group=2, strides=[2, 2]): 4,
        conv(24, (4, 4), group=24, strides=[2, 2], pads=[1, 1, 1, 1]): 4,
        conv(8, (2, 3), strides=[2, 2], dilations=[2, 3]): 4,
        conv(8, (2, 2), strides=[2, 2]): 4,
        g.node("ConvTranspose", "x", g.weight(3, 16, 3, 3), strides=[2, 2]): 4,
    }


def quantized(g: Graph) -> Outputs:
    """Weights and activations behind QuantizeLinear and DequantizeLinear."""

    def weights(*shape: int) -> str:
        # onnxruntime's sums of 16 bits don't hold larger ones.
        whole = g.constant(g.random.integers(-63, 63, shape), "int8")
        scales = g.weight(shape[0], low=0.001, high=0.01)
        return g.node("DequantizeLinear", whole, scales, g.constant([0] * shape[0], "int8"), axis=0)

    def rounded(data: str) -> str:
        # Of whole numbers, so that a last bit decides nothing.
        scale, zero = g.constant(0.25, "float32"), g.constant(120, "uint8")
        return g.node(
            "DequantizeLinear", g.node("QuantizeLinear", g.node("Ceil", data), scale, zero), scale, zero
        )

    data = rounded(g.node("Conv", rounded("x"), weights(24, 3, 3, 3), g.weight(24)))
    data = g.node("Conv", data, weights(24, 1, 3, 3), g.weight(24), group=24)
    # Sums of integers.
    steps = g.node(
        "QuantizeLinear", g.node("Ceil", "x"), g.constant(0.25, "float32"), g.constant(120, "uint8")
    )
    kernel = g.constant(g.random.integers(0, 255, (8, 3, 3, 3)), "uint8")
    sums = g.node("ConvInteger", steps, kernel, g.constant(120, "uint8"), g.constant(9, "uint8"))
    outputs = {g.node("Conv", data, weights(out, 24, 1, 1), g.weight(out)): 4 for out in (8, 5)}
    return {**outputs, g.node("Cast", sums, to=1): 4}


def halves(g: Graph) -> Outputs:
    """Convolutions of float16, whose sums are of float32."""

    def conv(data: str, *shape: int, **attributes: object) -> str:
        weights = g.constant(g.random.uniform(-0.5, 0.5, shape), "float16")
        return g.node(
            "Conv", data, weights, g.constant(g.random.uniform(-1, 1, shape[0]), "float16"), **attributes
        )

    data = g.node("Relu", conv(g.node("Cast", "x", to=10), 32, 3, 3, 3))
    data = g.node("MaxPool", conv(data, 32, 1, 3, 3, group=32), kernel_shape=[2, 2], strides=[2, 2])
    grouped = conv(data, 32, 16, 1, 1, group=2)
    larger = g.constant(g.random.uniform(-0.5, 0.5, (32, 8, 2, 2)), "float16")
    larger = g.node("ConvTranspose", data, larger, strides=[2, 2])
    outputs = {g.node("Cast", conv(one, 10, n, 1, 1), to=1): 4 for one, n in ((data, 32), (grouped, 32))}
    return {**outputs, g.node("Cast", larger, to=1): 4}


# Of each: what is still brought out of blocks or into them, by who asks for it, but for who has to have NCHW.
LEFT: dict[Callable[[Graph], Outputs], dict[str, int]] = {
    channels_last: {"outputs": 3},
    # The permutes themselves read blocks, and are kernels in any layout.
    left_in_another_order: {},
    convnext: {"outputs": 2},
    pads: {"outputs": 5, "relax.nn.pad": 1},
    pools_and_sizes: {"outputs": 8},
    # A row of blocks that hold less than they could is made a signal by a transform, as an output is.
    signals: {"outputs": 2, "relax.reshape": 2},
    # Groups of channels that were shuffled.
    shuffles: {"outputs": 5, "relax.nn.conv2d": 1},
    transposed: {"outputs": 9, "relax.nn.conv2d_transpose": 1},
    quantized: {"outputs": 3},
    halves: {"outputs": 3},
}
SHAPES: dict[Callable[[Graph], Outputs], tuple[int, ...]] = {signals: (1, 3, 50), shuffles: (1, 3, 20, 20)}


@pytest.fixture(scope="module", params=list(LEFT), ids=lambda case: case.__name__)
def case(request: pytest.FixtureRequest) -> Callable[[Graph], Outputs]:
    """What a graph is made of."""
    found: Callable[[Graph], Outputs] = request.param
    return found


@pytest.fixture(scope="module")
def model(case: Callable[[Graph], Outputs], tmp_path_factory: pytest.TempPathFactory) -> PreparedModel:
    """The graph, prepared."""
    graph = Graph(SHAPES.get(case, (1, 3, 21, 20)))
    outputs = case(graph)
    return graph.save_with(tmp_path_factory.mktemp("orders") / f"{case.__name__}.onnx", outputs)


@pytest.mark.parametrize(
    "layout", ["nhwc", "blocked", *(pytest.param(one, marks=pytest.mark.slow) for one in ("nchw", "auto"))]
)
def test_every_layout_gives_the_outputs_of_onnxruntime(
    engine: EngineClient, device: DeviceInfo, model: PreparedModel, layout: str
) -> None:
    laid = replace(model, layout=layout)
    assert not disagreement(engine, laid, device.target)


def test_blocks_are_left_only_for_those_who_ask_for_another_order(
    case: Callable[[Graph], Outputs], model: PreparedModel
) -> None:
    laid = with_layout(in_nchw(model, parse_target(WIDE)), "blocked", parse_target(WIDE))
    assert Counter(one.cause for one in laid.transforms) == LEFT[case]


def test_a_model_that_is_no_block_of_dataflow_stays_as_it_is() -> None:
    builder = relax.BlockBuilder()
    data = relax.Var("x", relax.TensorType((1, 8), "float32"))
    with builder.function("main", [data]):
        builder.emit_func_output(builder.emit(relax.op.nn.relu(data)))
    module = builder.get()
    assert_structural_equal(with_channels_first(module), module)
