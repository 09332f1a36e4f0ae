"""NaN through functions that compare: what onnxruntime makes of it; kernels of networks stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from workers.clients import EngineClient
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


def saved(text: str, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}'), path)
    return path


def test_nan_is_kept_where_onnxruntime_keeps_it(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path
) -> None:
    outputs = ", ".join(LARGE + name for name in "abcdefgj") + ", float[2,1] h, float[8] i"
    model = prepare(saved(f"g ({LARGE} x, {LARGE} y) => ({outputs}) {{ {FUNCTIONS} }}", tmp_path))
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
    path = saved(f"g ({size} x, {size} y) => ({size} z) {{ {first} c = Add (b, y) z = Relu (c) }}", tmp_path)
    tasks = engine.extract(prepare(path), device.target).tasks
    assert any(b"isnan" in task.workload.module for task in tasks) == kept
