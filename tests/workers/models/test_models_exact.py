"""The judge between float32 results: double precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.kit.quantized_networks import QuantizedNetwork
from workers.messages import Array
from workers.models import judge, run_reference
from workers.models._exact import run_exact

Shapes = Sequence[tuple[str, Sequence[int]]]


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Shapes,
    outputs: Shapes,
    constants: Sequence[tuple[str, Array]] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs],
        [onnx.numpy_helper.from_array(v, n) for n, v in constants],
    )
    return helper.make_model(
        graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)]
    ).SerializeToString()


@pytest.fixture(scope="module")
def variance() -> onnx.ModelProto:
    """A variance as the difference of two large, nearly equal numbers."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1]),
        helper.make_node("Mul", ["mean", "mean"], ["square"]),
        helper.make_node("Mul", ["x", "x"], ["xx"]),
        helper.make_node("ReduceMean", ["xx"], ["squares"], axes=[1]),
        helper.make_node("Sub", ["squares", "square"], ["y"]),
    ]
    data = model(nodes, [("x", [1, 512])], [("y", [1, 1])])
    x = (100 + np.random.default_rng(1).normal(size=(1, 512))).astype("float32")
    return data, {"x": x}


def test_a_model_that_amplifies_rounding_is_judged_by_double_precision(variance: onnx.ModelProto) -> None:
    data, inputs = variance
    (want,) = run_reference(data, inputs, 1)
    (true,) = run_exact(data, inputs)
    assert true.dtype == np.float64
    assert true[0, 0] == pytest.approx(np.var(inputs["x"].astype("float64")), rel=1e-9)
    off = float(want[0, 0] - true[0, 0])
    assert abs(off) > 1e-3 * true[0, 0], "or this test shows nothing"
    other = (true - off).astype("float32")
    found = judge(data, inputs, [other], [want], ["y"])
    assert found.ok
    assert found.max_rel > 1e-3
    assert "amplifies rounding" in found.remark
    farther = judge(data, inputs, [(true + 3 * off).astype("float32")], [want], ["y"])
    assert not farther.ok
    assert "differs by" in farther.reason


@pytest.mark.parametrize("quantized", [True, False])
def test_floats_behind_steps_are_judged_by_their_mean(quantized: bool) -> None:
    scale: list[tuple[str, Array]] = [
        ("scale", np.array(0.1, np.float32)),
        ("zero", np.array(0, np.uint8)),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
    ]
    last = helper.make_node("Mul", ["d", "d"] if quantized else ["x", "x"], ["y"])
    data = model([*(nodes if quantized else []), last], [("x", [1000])], [("y", [1000])], scale)
    inputs = {"x": np.linspace(0, 20, 1000, dtype="float32")}
    (true,) = run_exact(data, inputs)

    def off(places: slice) -> Array:
        values = true.astype("float32")
        values[places] += 0.05 * true.max()
        return values

    reference = off(slice(0, 5))  # some that were rounded the other way
    assert judge(data, inputs, [off(slice(5, 10))], [reference], ["y"]).ok == quantized
    assert not judge(data, inputs, [off(slice(5, 105))], [reference], ["y"]).ok


def test_a_wrong_result_of_a_well_behaved_model_stays_wrong() -> None:
    data = model(
        [helper.make_node("Relu", ["x"], ["y"])],
        [("x", [4])],
        [("y", [4])],
    )
    inputs = {"x": np.arange(4, dtype="float32")}
    (want,) = run_reference(data, inputs, 1)
    assert judge(data, inputs, [want], [want]).ok
    for wrong in (want * 1.01, want * np.nan, want[:3]):
        found = judge(data, inputs, [wrong.astype("float32")], [want], ["y"])
        assert not found.ok
        assert found.remark == ""


def test_what_cannot_be_evaluated_exactly_keeps_its_verdict() -> None:
    data = model([helper.make_node("Gelu", ["x"], ["y"], domain="nobody")], [("x", [4])], [("y", [4])])
    ones = np.ones(4, dtype="float32")
    assert not judge(data, {"x": ones}, [ones], [2 * ones]).ok


def test_the_reference_evaluators_global_max_pool_is_mended() -> None:
    data = model([helper.make_node("GlobalMaxPool", ["x"], ["y"])], [("x", [1, 3, 5])], [("y", [1, 3, 1])])
    x = np.random.default_rng(1).normal(size=(1, 3, 5)).astype("float32")
    (true,) = run_exact(data, {"x": x})
    np.testing.assert_allclose(true, run_reference(data, {"x": x}, 1)[0])


def test_quantized_outputs_are_judged_by_how_far_most_of_them_are() -> None:
    net = QuantizedNetwork((1, 16, 8, 8), "uint8")
    data = net.model(net.conv(net.rounded("x"), 16, 16, 3, pads=[1, 1, 1, 1])).SerializeToString()
    inputs = {"x": np.random.default_rng(1).normal(size=(1, 16, 8, 8)).astype("float32")}
    (true,) = run_exact(data, inputs)
    (close,) = run_reference(data, inputs, 1, optimize=False)
    assert np.abs(close - true).max() == pytest.approx(0, abs=1e-6)
    random = np.random.default_rng(2)
    # As of a deep model: a quarter of all are a step off, either way, so that some are two apart.
    far, also_far = (
        (true + 0.02 * random.choice([-1, 0, 0, 0, 0, 0, 0, 1], true.shape)).astype("float32") for _ in "ab"
    )
    found = judge(data, inputs, [also_far], [far])
    assert found.ok
    assert "amplifies rounding" in found.remark
    farther = (2 * far - true).astype("float32")
    assert not judge(data, inputs, [farther], [close]).ok, "two steps, and the reference is exact here"
    assert not judge(data, inputs, [far + 0.1], [far]).ok, "five steps, all of them"
