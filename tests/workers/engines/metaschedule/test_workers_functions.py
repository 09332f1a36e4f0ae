"""Exponentials as polynomials: their outputs, and that no C library is called for them."""

from __future__ import annotations

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
