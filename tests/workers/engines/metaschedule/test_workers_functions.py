"""Exponentials as polynomials: their outputs, and that no C library is called for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from workers.clients import EngineClient
from workers.messages import DeviceInfo, PreparedModel, RecordChoice
from workers.models import compare, prepare, random_inputs, run_reference

FUNCTIONS = ("Exp", "Erf", "Tanh", "Sigmoid", "Softmax")


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> PreparedModel:
    """A model with an output for each function, of inputs far beyond where they are flat."""
    nodes = [helper.make_node("Mul", ["x", "scale"], ["wide"])]
    nodes += [helper.make_node(op, ["wide"], [op]) for op in FUNCTIONS]
    # What becomes one operator of TVM: x * sigmoid(x), and the error function around a half.
    nodes += [
        helper.make_node("Mul", ["wide", "Sigmoid"], ["Silu"]),
        helper.make_node("Gelu", ["wide"], ["Gelu"]),
    ]
    outputs = (*FUNCTIONS, "Silu", "Gelu")
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, [4, 64])],
        [helper.make_tensor_value_info(name, 1, [4, 64]) for name in outputs],
        [numpy_helper.from_array(np.array(12, "float32"), "scale")],
    )
    path = tmp_path_factory.mktemp("functions") / "functions.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    return prepare(str(path), {})


def test_polynomials_agree_with_onnxruntime_and_nothing_calls_the_c_library(
    engine: EngineClient, device: DeviceInfo, functions: PreparedModel
) -> None:
    compiled = engine.compile(functions, device.target, RecordChoice("untuned")).result()
    inputs = random_inputs(functions.inputs, 3)
    ran = engine.run(compiled, inputs, device.target)
    expected = run_reference(functions.onnx, inputs, threads=1)
    difference = compare(ran.outputs, expected)
    assert difference.ok, difference.reason
    for name, got, wanted in zip((*FUNCTIONS, "Silu", "Gelu"), ran.outputs, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=3e-6, atol=1e-6, err_msg=name)
    assert not [name for name in (b"expf", b"erff", b"tanhf") if name in compiled.library]


def test_a_target_without_a_cpu_keeps_its_own_functions(
    engine: EngineClient, functions: PreparedModel
) -> None:
    def polynomials(target: str) -> bool:
        tasks = engine.extract(functions, target).tasks
        return any(b"fast_exp" in task.workload.module for task in tasks)

    assert polynomials("llvm -num-cores=2")
    assert not polynomials("cuda -arch=sm_90")


def test_what_is_no_number_is_found_a_vector_at_a_time(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path
) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("IsNaN", ["x"], ["nan"]),
            helper.make_node("Where", ["nan", "zero", "x"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", 1, [4, 64])],
        [helper.make_tensor_value_info("y", 1, [4, 64])],
        [numpy_helper.from_array(np.zeros(1, "float32"), "zero")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9),
        tmp_path / "nan.onnx",
    )
    model = prepare(str(tmp_path / "nan.onnx"), {})
    x = np.random.default_rng(0).standard_normal((4, 64)).astype("float32")
    x[0, :5] = np.nan, -np.nan, np.inf, -np.inf, 3e-42
    bits = np.array([0x7F800001, 0xFFFFFFFF], np.uint32)
    x[1, :2] = bits.view("float32")
    compiled = engine.compile(model, device.target, RecordChoice("untuned")).result()
    (y,) = engine.run(compiled, {"x": x}, device.target).outputs
    np.testing.assert_array_equal(y, np.where(np.isnan(x), 0, x))
