"""Which layout ``auto`` takes: bytes moved against arithmetic saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser
from tvm.ir import IRModule

from workers.engines.metaschedule.layouts import chosen_layout, convolutions, with_layout
from workers.engines.metaschedule.model import in_nchw
from workers.engines.metaschedule.targets import parse_target
from workers.models import prepare

CPU = "llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512 -num-cores=2"


def imported(tmp_path: Path, body: str, **weights: tuple[int, ...]) -> IRModule:
    """Import a graph as text, its weights random."""
    graph = parser.parse_graph(body)
    random = np.random.default_rng(0)
    graph.initializer.extend(
        numpy_helper.from_array(random.uniform(-1, 1, shape).astype("float32"), name)
        for name, shape in weights.items()
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return in_nchw(prepare(path), parse_target(CPU))


def test_arithmetic_that_is_saved_outweighs_two_transforms(tmp_path: Path) -> None:
    module = imported(
        tmp_path,
        """g (float[1,16,32,32] x) => (float[1,16,32,32] y) {
            a = Conv<pads=[1,1,1,1]>(x, v)
            b = Relu(a)
            y = Conv<pads=[1,1,1,1]>(b, w)
        }""",
        v=(16, 16, 3, 3),
        w=(16, 16, 3, 3),
    )
    choice = chosen_layout(module, parse_target(CPU))
    assert choice.laid.layout == "blocked"
    assert "take blocks with " in choice.reason
    assert "NCHW" in choice.reason


def test_transforms_of_large_tensors_outweigh_convolutions_that_do_little(tmp_path: Path) -> None:
    module = imported(
        tmp_path,
        """g (float[1,8,256,256] x) => (float[1,8,65536] y)
           <int64[3] rows = {1, 8, 65536}, int64[4] image = {1, 8, 256, 256}> {
            a = Conv(x, v)
            b = Reshape(a, rows)
            c = Softmax<axis=2>(b)
            d = Reshape(c, image)
            e = Conv(d, w)
            f = Reshape(e, rows)
            y = Softmax<axis=2>(f)
        }""",
        v=(8, 8, 1, 1),
        w=(8, 8, 1, 1),
    )
    choice = chosen_layout(module, parse_target(CPU))
    assert choice.laid.layout == "nchw"
    assert choice.laid.module is module


@pytest.mark.parametrize(("channels", "close"), [(32, "nhwc"), (512, "")])
def test_what_comes_next_is_said_where_it_is_close(tmp_path: Path, channels: int, close: str) -> None:
    # With little arithmetic much of the time is that of the transform, which is the same in blocks and NHWC.
    module = imported(
        tmp_path,
        """g (float[1,16,16,16] x) => (float[1,16,16,16] y) {
            a = Conv<pads=[1,1,1,1]>(x, v)
            b = Relu(a)
            y = Conv<pads=[1,1,1,1]>(b, w)
        }""",
        v=(channels, 16, 3, 3),
        w=(16, channels, 3, 3),
    )
    choice = chosen_layout(module, parse_target(CPU))
    assert (choice.laid.layout, choice.alternative) == ("blocked", close)
    if close:
        assert choice.estimate_s is not None
        assert choice.alternative_s is not None
        assert 1 < choice.alternative_s / choice.estimate_s <= 1.15
    else:
        assert (choice.estimate_s, choice.alternative_s) == (None, None)


def test_nothing_in_blocks_is_no_other_layout_than_nchw(tmp_path: Path) -> None:
    module = imported(
        tmp_path,
        """g (float[1,8,16,16] x) => (float[1,8,16,16] y) {
            a = Conv(x, v)
            b = Relu(a)
            y = Conv(b, w)
        }""",
        v=(16, 8, 1, 1),
        w=(8, 16, 1, 1),
    )
    choice = chosen_layout(module, parse_target(CPU))
    assert "NCHW" in choice.reason.split(";")[0]
    assert "blocks in parts" in choice.reason
    assert (choice.laid.layout, choice.alternative) == ("nchw", "")


def test_without_a_convolution_there_is_nothing_to_choose(tmp_path: Path) -> None:
    module = imported(tmp_path, "g (float[4,8] x) => (float[4,2] y) { y = MatMul(x, w) }", w=(8, 2))
    choice = chosen_layout(module, parse_target(CPU))
    assert (choice.laid.layout, choice.reason) == ("nchw", "there is no convolution")


@pytest.mark.parametrize(
    ("body", "shape", "flops", "depthwise"),
    [
        ("Conv<strides=[2,2]>(x, w)", (6, 4, 1, 1), 2 * 6 * 4 * 25, False),
        ("Conv<group=4>(x, w)", (4, 1, 3, 3), 2 * 4 * 9 * 64, True),
        ("Conv<group=2>(x, w)", (6, 2, 1, 1), 2 * 6 * 2 * 100, False),
        ("ConvTranspose<strides=[2,2]>(x, w)", (4, 6, 2, 2), 2 * 4 * 6 * 4 * 100, False),
    ],
)
def test_the_arithmetic_of_a_convolution(
    tmp_path: Path, body: str, shape: tuple[int, ...], flops: int, depthwise: bool
) -> None:
    module = imported(tmp_path, f"g (float[1,4,10,10] x) => (float[a,b,c,d] y) {{ y = {body} }}", w=shape)
    (found,) = convolutions(module)
    assert (found.flops, found.depthwise) == (flops, depthwise)


def test_a_part_that_loses_by_blocks_is_left_and_the_rest_is_not(tmp_path: Path) -> None:
    module = imported(
        tmp_path,
        """g (float[1,8,256,256] x) => (float[1,8,65536] y, float[1,32,32,32] z)
           <int64[3] rows = {1, 8, 65536}, int64[4] image = {1, 8, 256, 256}> {
            a = Softmax<axis=3>(x)
            b = Conv(a, v)
            c = Reshape(b, rows)
            y = Softmax<axis=2>(c)
            d = MaxPool<kernel_shape=[8,8], strides=[8,8]>(x)
            e = Conv<pads=[1,1,1,1]>(d, w)
            f = Relu(e)
            z = Conv<pads=[1,1,1,1]>(f, u)
        }""",
        v=(8, 8, 1, 1),
        w=(32, 8, 3, 3),
        u=(32, 32, 3, 3),
    )
    target = parse_target(CPU)
    assert [one.flops for one in convolutions(with_layout(module, "blocked", target).module)] == []
    mixed = with_layout(module, "mixed", target)
    assert [one.flops for one in convolutions(mixed.module)] == [2 * 8 * 8 * 65536]
    choice = chosen_layout(module, target)
    assert (choice.laid.layout, choice.alternative) == ("mixed", "")
    assert "take blocks in parts" in choice.reason
    assert choice.laid.transforms == mixed.transforms
