"""NaN through functions that compare: what onnxruntime makes of it; kernels of networks stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from tests.kit.graph_text import saved_graph
from workers.clients import EngineClient
from workers.engines.metaschedule.model import in_nchw
from workers.engines.metaschedule.targets import parse_target
from workers.engines.metaschedule.workload import load_module
from workers.messages import DeviceInfo, RecordChoice
from workers.models import compare, prepare, run_reference

FUNCTIONS = """
    low = Constant <value = float {-1}> ()
    six = Constant <value = float {6}> ()
    a = Relu (x)
    b = Clip (x, low, six)
    c = Max (x, y)
    d = Min (x, y)
    e = HardSigmoid (x)
    f = Elu (x)
    g = Sign (x)
    h = ReduceMax <axes = [1], keepdims = 1> (x)
    i = ReduceMin <axes = [0], keepdims = 0> (y)
    j = Max (x, low)
"""
LARGE = "float[2,8] "
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32")


def test_nan_is_kept_where_onnxruntime_keeps_it(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path
) -> None:
    outputs = ", ".join(LARGE + name for name in "abcdefgj") + ", float[2,1] h, float[8] i"
    model = prepare(saved_graph(f"g ({LARGE} x, {LARGE} y) => ({outputs}) {{ {FUNCTIONS} }}", tmp_path))
    nan = np.nan
    x = np.array([[nan, -2, -0.3, 0.4, 3, 7, nan, nan], [1, 0.5, 2, 3, -4, 1, 0, 5]], "float32")
    y = np.array([[1, nan, 0, 2, -1, nan, nan, -5], [nan, 1, 2, nan, 3, 4, 5, nan]], "float32")
    expected = run_reference(model.onnx, {"x": x, "y": y}, threads=1)
    assert all(np.isnan(output).any() for output in expected)
    compiled = engine.compile(model, device.target, RecordChoice("untuned")).result()
    ran = engine.run(compiled, {"x": x, "y": y}, device.target)
    names = [spec.name for spec in model.outputs]
    difference = compare(ran.outputs, expected, names=names)
    assert difference.ok, f"{difference.worst_name} {difference.reason}"


@pytest.mark.parametrize(
    ("first", "kept"),
    [("b = Sqrt (x)", True), ("b = MatMul (x, y)", False)],
    ids=["alone", "behind a product"],
)
def test_kernels_behind_a_product_stay_what_records_are_of(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path, first: str, kept: bool
) -> None:
    size = "float[8,8] "
    path = saved_graph(
        f"g ({size} x, {size} y) => ({size} z) {{ {first} c = Add (b, y) z = Relu (c) }}", tmp_path
    )
    tasks = engine.extract(prepare(path), device.target).tasks
    bodies = "".join(str(load_module(task.workload.module)) for task in tasks)
    assert ("T.max(T.float32(0.0), " in bodies) == kept
    assert "isnan" not in bodies


def test_on_a_gpu_whose_largest_of_two_is_never_nan_it_is_looked_for(tmp_path: Path) -> None:
    ready = prepare(saved_graph(f"g ({LARGE} x) => ({LARGE} z) {{ z = Relu (x) }}", tmp_path))
    assert "isnan" in str(in_nchw(ready, parse_target("cuda -arch=sm_80")))
    assert "isnan" not in str(in_nchw(ready, parse_target("llvm -mcpu=znver3")))


def test_a_long_chain_reads_each_number_once_or_twice(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path
) -> None:
    # Three times at each step, and more for the cast: 3^12 copies of the first, which nobody waits for.
    steps = "".join(f"a{i} = Relu (b{i}) b{i + 1} = Clip (a{i}, low, six) " for i in range(6))
    limits = "low = Constant <value = float {-1}> () six = Constant <value = float {6}> ()"
    steps += "c = Cast <to = 3> (b6) z = Cast <to = 1> (c)"
    text = f"g (float[4,40] b0) => (float[4,40] z) {{ {limits} {steps} }}"
    model = prepare(saved_graph(text, tmp_path))
    x = np.random.default_rng(0).normal(0, 5, (4, 40)).astype("float32")
    x[0, 3] = x[1, :20] = np.nan
    x[2, 2] = np.inf
    (expected,) = run_reference(model.onnx, {"b0": x}, threads=1)
    compiled = engine.compile(model, device.target, RecordChoice("untuned")).result()
    (output,) = engine.run(compiled, {"b0": x}, device.target).outputs
    assert np.array_equal(output, expected)


@pytest.mark.parametrize("kind", INTEGERS)
def test_a_cast_to_integers_wraps_and_has_zero_for_what_is_no_number(
    kind: str, engine: EngineClient, device: DeviceInfo, tmp_path: Path
) -> None:
    to = onnx.TensorProto.DataType.Value(kind.upper())
    text = f"g (float[2,40] x) => ({kind}[2,40] z) {{ z = Cast <to = {to}> (x) }}"
    model = prepare(saved_graph(text, tmp_path))
    x = np.random.default_rng(0).normal(0, 2.0**20, (2, 40)).astype("float32")
    x[0, :6] = np.nan, np.inf, -np.inf, -1.5, 300.7, -129
    compiled = engine.compile(model, device.target, RecordChoice("untuned")).result()
    (output,) = engine.run(compiled, {"x": x}, device.target).outputs
    wanted = np.where(np.isfinite(x), x, 0).astype("int64").astype(kind)
    assert np.array_equal(output, wanted)
