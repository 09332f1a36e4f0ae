"""How far a converted model is off, as one number, and which of its layers stay as they are."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.kit.float_networks import float_network, samples
from workers.errors import ModelError, UsageError
from workers.messages import Array, Metric, Precision, PrecisionRequest
from workers.models import to_precision
from workers.models.precision.errors import error_of, require_answers
from workers.models.precision.layers import Layer, layers_of
from workers.models.precision.search import Within, find_within

LAYERS = [Layer(f"layer{place}", work=1) for place in range(12)]


def outputs(*samples: Sequence[float]) -> list[list[Array]]:
    return [[np.array([sample], np.float32)] for sample in samples]


@pytest.mark.parametrize(
    ("metric", "error"),
    [(Metric.MAX, 1 / 8), (Metric.COSINE, 1 - 26 / (5 * math.hypot(4, 3.5))), (Metric.TOP1, 1 / 2)],
)
def test_an_error_is_of_all_samples(metric: Metric, error: float) -> None:
    reference = outputs([3, 4], [0, 8])
    # The first has another largest entry, and is the worse in angle; of the largest value it is little.
    found = outputs([4, 3.5], [0, 8])
    assert error_of(metric, found, reference) == pytest.approx(error)
    assert error_of(metric, reference, reference) == pytest.approx(0, abs=1e-12)
    assert error_of(metric, outputs([3, 4], [0, math.nan]), reference) == math.inf
    assert error_of(metric, outputs([3, 4], [0, 8, 1]), reference) == math.inf


def test_of_outputs_that_are_no_floats_the_share_that_differs_counts() -> None:
    want = [[np.array([1, 2, 3, 4])], [np.array([1, 2, 3, 4])]]
    got = [[np.array([1, 2, 3, 9])], [np.array([1, 2, 3, 4])]]
    assert error_of(Metric.MAX, got, want) == 1 / 8


@pytest.mark.parametrize("shape", [(), (8, 1), (1, 21, 4, 4)])
def test_answers_are_not_counted_where_an_output_holds_none(shape: tuple[int, ...]) -> None:
    plain = np.ones(shape, np.float32)
    with pytest.raises(UsageError, match=r"top1 counts .*: 'y' .*; take --metric max or cosine"):
        require_answers(Metric.TOP1, [plain], ["y"])
    require_answers(Metric.MAX, [plain], ["y"])
    # Another output has some, or is itself the number of a class.
    for answers in (np.ones((2, 10), np.float32), np.ones((1, 8, 99), np.float32)):
        require_answers(Metric.TOP1, [plain, answers], ["y", "z"])
        assert error_of(Metric.TOP1, [[plain, answers]], [[plain, answers]]) == 0
    require_answers(Metric.TOP1, [np.ones(shape, np.int64)], ["y"])


def test_what_is_no_row_of_an_answer_counts_for_nothing() -> None:
    image, answer = np.zeros((1, 2, 3, 4), np.float32), np.array([[1, 2]], np.float32)
    other = np.arange(24, dtype=np.float32).reshape(image.shape)
    assert error_of(Metric.TOP1, [[other, answer]], [[image, answer]]) == 0
    assert error_of(Metric.TOP1, [[image, answer[:, ::-1]]], [[image, answer]]) == 1


def search(costs: Sequence[float], limit: float, work: Sequence[int] = ()) -> tuple[Within, int]:
    """Look among layers whose errors add up; return what was found, and how often all were tried."""
    layers = [
        Layer(layer.name, work=one) for layer, one in zip(LAYERS, work or [1] * len(LAYERS), strict=True)
    ]
    cost = {layer.name: one for layer, one in zip(layers, costs, strict=True)}
    tried = 0

    def quantized(names: Sequence[str]) -> onnx.ModelProto:
        return onnx.ModelProto(producer_name=" ".join(names))

    def alone(model: onnx.ModelProto) -> float:
        return sum(cost[name] for name in model.producer_name.split())

    def error(model: onnx.ModelProto) -> float:
        nonlocal tried
        tried += 1
        return alone(model)

    return find_within(layers, quantized, error, alone, limit), tried


def test_the_fewest_layers_stay_that_the_limit_asks_for() -> None:
    costs = [5, 1, 1, 4, 1, 3, 1, 1, 2, 1, 1, 1]
    for limit, kept in ((30, []), (21, [0]), (16, [0, 3]), (12, [0, 3, 5]), (8, [0, 3, 5, 8])):
        found, tried = search(costs, limit)
        assert [layer.name for layer in found.kept] == [f"layer{place}" for place in kept]
        assert found.model is not None
        assert (found.error <= limit, found.whole) == (True, sum(costs))
        assert tried <= 6
    assert search(costs, 1)[0].error == 1
    assert len(search(costs, 1)[0].kept) == 11
    beyond, _ = search(costs, 0.5)
    assert (beyond.model, beyond.error, len(beyond.kept)) == (None, 1, 11)


def test_a_layer_with_little_work_stays_before_one_that_brings_more_of_the_error() -> None:
    costs, work = [6.0] + [1.0] * 11, [100] + [10] * 10 + [1]
    assert [layer.name for layer in search(costs, 16, work)[0].kept] == ["layer11"]


@pytest.mark.parametrize(
    ("operator", "weights", "data", "attributes", "layers"),
    [
        ("Conv", (8, 4, 3, 3), (1, 4, 9, 9), {}, 1),
        ("Conv", (8, 1, 3, 3), (1, 8, 9, 9), {"group": 8}, 1),
        ("Conv", (8, 4, 3), (1, 4, 9), {}, 0),
        ("Conv", (8, 4, 3, 3, 3), (1, 4, 9, 9, 9), {}, 0),
        ("Conv", (1, 3670, 3, 3), (1, 3670, 3, 3), {}, 0),
        ("MatMul", (6, 5), (2, 3, 6), {}, 1),
        ("MatMul", (5, 6), (3, 5), {}, 0),
        ("MatMul", (6, 5), (6,), {}, 0),
        ("MatMul", (2, 6, 5), (2, 3, 6), {}, 0),
        ("MatMul", (33026, 1), (1, 33026), {}, 0),
        ("Gemm", (5, 6), (3, 6), {"transB": 1}, 1),
        ("Gemm", (6, 5), (3, 5), {"transB": 1}, 0),
        ("Gemm", (6, 5), (6, 3), {"transA": 1}, 0),
        ("Gemm", (6, 5), (3, 6), {"alpha": 0.5}, 0),
    ],
)
def test_layers_are_those_that_an_engine_computes_with_integers(
    operator: str,
    weights: tuple[int, ...],
    data: tuple[int, ...],
    attributes: dict[str, float],
    layers: int,
) -> None:
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"], "layer", **attributes)],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, data)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.zeros(weights, np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    found = layers_of(onnx.shape_inference.infer_shapes(model, strict_mode=True))
    assert len(found) == layers
    assert all(layer.work > 0 for layer in found)


def test_auto_leaves_in_float32_what_the_tools_fail_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("no such axis\nin a place of their own")

    monkeypatch.setattr("onnxruntime.quantization.quant_pre_process", fails)
    asked = PrecisionRequest(
        path=str(float_network(tmp_path / "net.onnx")),
        out=str(tmp_path / "net.int8.onnx"),
        precision=Precision.INT8,
        calibration=str(samples(tmp_path / "data.npz", 2)),
    )
    why = r"onnxruntime [\d.]+ can't convert the model: ValueError: no such axis$"
    with pytest.raises(ModelError, match=why):
        to_precision(asked)
    found = to_precision(replace(asked, precision=Precision.AUTO))
    assert found.precision is Precision.FLOAT32
    assert re.search(why, found.reason)
