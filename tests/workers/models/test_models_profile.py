"""What onnxruntime's own profiler says of a model's nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.kit.model_builders import dense_model
from workers.models import profile_reference
from workers.models._profile import profile_of_events


def event(
    name: str, op: str, ts: int, dur: int, inputs: list[list[int]], output: list[int]
) -> dict[str, Any]:
    shapes = {
        "op_name": op,
        "input_type_shape": [{"float": shape} for shape in inputs],
        "output_type_shape": [{"float": output}],
    }
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": ts, "dur": dur, "args": shapes}


def run(began: int, dur: int) -> list[dict[str, Any]]:
    """One inference in which each node takes `dur` microseconds."""
    return [
        event("conv", "Conv", began, dur, [[1, 64, 13, 13], [256, 32, 3, 3]], [1, 256, 13, 13]),
        event("gemm", "Gemm", began + dur, dur, [[64, 384], [384]], [64, 1536]),
        event("add", "Add", began + 2 * dur, dur, [[64], [64]], [64]),
        # Twice, as in the body of a loop.
        event("add", "Add", began + 3 * dur, dur, [[64], [64]], [64]),
        event("packed", "ConvTranspose", began + 4 * dur, dur, [[1, 24, 10, 10], [24]], [1, 24, 20, 20]),
        {"cat": "Session", "name": "model_run", "ts": began, "dur": 6 * dur},
    ]


def test_a_profile_tells_what_nodes_compute_and_what_they_took_once_warm() -> None:
    events: list[dict[str, Any]] = [{"cat": "Session", "name": "session_initialization", "ts": 0, "dur": 5}]
    for place, dur in enumerate((900, 900, 900, 200, 300, 400)):  # the first three warm up
        events += run(10_000 * (place + 1), dur)

    found = profile_of_events(events)

    assert [
        (k.name, k.calls, round(k.seconds * 1e6), k.does, k.outputs, k.products) for k in found.kernels
    ] == [
        ("conv", 1, 300, "products", 256 * 13 * 13, 32 * 9),
        ("gemm", 1, 300, "products", 64 * 1536, 384),
        ("add", 2, 600, "", 0, 0),
        ("packed", 1, 300, "", 0, 0),
    ]
    assert [(call.name, round(call.began_s * 1e6), round(call.seconds * 1e6)) for call in found.calls] == [
        ("conv", 0, 300),
        ("gemm", 300, 300),
        ("add", 600, 300),
        ("add", 900, 300),
        ("packed", 1200, 300),
    ]


def test_onnxruntime_is_asked_for_real() -> None:
    model = dense_model(2)
    inputs = {"x": np.ones((2, 8), np.float32)}

    found = profile_reference(model.SerializeToString(), inputs, threads=1, runs=3)

    (product,) = [kernel for kernel in found.kernels if kernel.does == "products"]
    assert product.products == 8
    assert product.seconds > 0
    assert [call.name for call in found.calls] == [kernel.name for kernel in found.kernels]
