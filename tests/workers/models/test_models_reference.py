"""Random inputs, and onnxruntime as the reference."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.kit.model_builders import constant, dense_model, model_of, tensor
from workers.errors import ModelError
from workers.messages import TensorSpec
from workers.models import random_inputs, run_reference, time_reference

SPECS = [
    TensorSpec("image", (2, 3), "float32"),
    TensorSpec("half", (4,), "float16"),
    TensorSpec("ids", (5, 40), "int64"),
    TensorSpec("mask", (50,), "bool"),
    TensorSpec("rate", (), "int32"),
]


def test_inputs_have_the_shapes_and_types_of_their_specs() -> None:
    drawn = random_inputs(SPECS, 0)
    assert [(n, v.shape, v.dtype.name) for n, v in drawn.items()] == [
        (s.name, s.shape, s.dtype) for s in SPECS
    ]


def test_integers_are_zero_or_one_and_floats_of_both_signs() -> None:
    drawn = random_inputs([*SPECS, TensorSpec("many", (1000,), "float32")], 0)
    assert set(np.unique(drawn["ids"])) == {0, 1}
    assert drawn["many"].min() < -0.9
    assert 0.9 < drawn["many"].max() < 1.0


def test_a_seed_decides_the_inputs() -> None:
    first, again, other = (random_inputs(SPECS, seed)["image"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_reference_computes_the_model() -> None:
    x = np.ones((2, 8), np.float32)
    model = dense_model(2)
    w, b = (np.frombuffer(t.raw_data, np.float32).reshape(t.dims) for t in model.graph.initializer)
    (y,) = run_reference(model.SerializeToString(), {"x": x}, threads=1)
    assert np.allclose(y, np.maximum(x @ w + b, 0.0), atol=1e-6)


def test_what_is_no_model_is_refused_without_a_traceback() -> None:
    with pytest.raises(ModelError, match="onnxruntime can't load the model"):
        run_reference(b"nonsense", {}, threads=1)


def test_inputs_that_dont_fit_are_refused() -> None:
    with pytest.raises(ModelError, match="onnxruntime can't run the model"):
        run_reference(dense_model(2).SerializeToString(), {"x": np.ones((2, 9), np.float32)}, threads=1)


def test_an_index_out_of_range_is_reported() -> None:
    model = model_of(
        [helper.make_node("Gather", ["table", "i"], ["y"])],
        [tensor("i", [1], TensorProto.INT64)],
        [tensor("y", [1], TensorProto.INT64)],
        [constant("table", 1, 2)],
    )
    with pytest.raises(ModelError, match="out of"):
        run_reference(model.SerializeToString(), {"i": np.array([7])}, threads=1)


def test_timing_repeats_as_often_as_asked_and_as_long_as_asked() -> None:
    data = dense_model(2).SerializeToString()
    inputs = {"x": np.ones((2, 8), np.float32)}
    few = time_reference(data, inputs, threads=1, repeats=7, settle_s=0.0, least_s=0.0)
    assert len(few.times) == 7
    assert min(few.times) > 0.0
    long = time_reference(data, inputs, threads=1, repeats=1, settle_s=0.1, least_s=0.05)
    assert len(long.times) > 1
    # Each time is the mean of as many runs as fill 200 millionths of a second.
    assert sum(long.times) < 0.05
    assert long.warm_up.runs > 1
