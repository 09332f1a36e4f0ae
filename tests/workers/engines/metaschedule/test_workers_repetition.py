"""Chains of functions that read a number more than once: kernels end before they take minutes to compile."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.kit.graph_text import saved_graph
from workers.clients import EngineClient
from workers.messages import DeviceInfo, RecordChoice
from workers.models import prepare, run_reference

_HEAD = "g (float[2,40] x0) => (float[2,40] z)"
_ZERO = "zero = Constant <value = float {0}> () "
# As exporters write it for what is no number, and for infinities.
_CLEANED = (
    "n{0} = IsNaN (x{0}) a{0} = Where (n{0}, zero, x{0}) b{0} = Mul (a{0}, a{0}) x{1} = Add (a{0}, b{0}) "
)


def test_a_chain_that_reads_its_numbers_again_and_again_is_several_kernels(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path
) -> None:
    steps = _ZERO + "".join(_CLEANED.format(i, i + 1) for i in range(8))
    model = prepare(saved_graph(f"{_HEAD} {{ {steps} z = Tanh (x8) }}", tmp_path))
    names = [task.name for task in engine.extract(model, device.target).tasks]
    assert 2 <= len(names) < 12, names
    x = np.random.default_rng(0).uniform(-1, 0, (2, 40)).astype("float32")
    x[0, 3] = x[1, :20] = np.nan
    (expected,) = run_reference(model.onnx, {"x0": x}, threads=1)
    compiled = engine.compile(model, device.target, RecordChoice("untuned")).result()
    (output,) = engine.run(compiled, {"x0": x}, device.target).outputs
    assert np.allclose(output, expected, rtol=1e-5, atol=1e-6)


def test_what_networks_are_made_of_is_one_kernel(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path
) -> None:
    steps = "a = Add (x0, x0) b = Sigmoid (a) c = Mul (a, b) d = Relu (c) z = Add (d, x0)"
    path = saved_graph(f"{_HEAD} {{ {steps} }}", tmp_path)
    assert len(engine.extract(prepare(path), device.target).tasks) == 1
