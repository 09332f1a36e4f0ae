"""A model is cut before operators whose outputs' sizes depend on values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.kit.detectors import CUT, save_detector
from tests.kit.hard_models import Hard
from workers.errors import ModelError
from workers.messages import PreparedModel
from workers.models import prepare, random_inputs, run_reference


def both(model: PreparedModel, inputs: Mapping[str, Any]) -> list[Any]:
    """Run what comes before the cut, then the rest."""
    assert model.rest is not None
    values = dict(inputs)
    taken = {spec.name: values[spec.name] for spec in model.inputs}
    names = [spec.name for spec in model.outputs]
    values.update(zip(names, run_reference(model.onnx, taken, 1), strict=True))
    further = {spec.name: values[spec.name] for spec in model.rest.inputs}
    assert all(values[spec.name].shape == spec.shape for spec in model.rest.inputs)
    made = [value.name for value in onnx.load_from_string(model.rest.onnx).graph.output]
    values.update(zip(made, run_reference(model.rest.onnx, further, 1), strict=True))
    return [values[name] for name in model.rest.outputs]


@pytest.mark.parametrize("name", CUT)
def test_both_parts_give_what_the_whole_gives(name: str, tmp_path: Path) -> None:
    path = save_detector(tmp_path / "model.onnx", name)
    model = prepare(path)
    case = CUT[name]
    assert tuple(sorted(spec.name for spec in model.outputs)) == tuple(sorted(case.before))
    assert model.rest is not None
    assert tuple(text.split(" ")[0] for text in model.rest.cut_at) == case.at
    kinds = {node.op_type for node in onnx.load_from_string(model.onnx).graph.node}
    assert "Conv" in kinds
    assert not kinds & set(case.at) - {"Gather"}
    whole = onnx.load(path)
    inputs: dict[str, Any] = {"x": np.random.default_rng(4).normal(size=(1, 3, 8, 8)).astype(np.float32)}
    if case.inputs:
        inputs["pads"] = np.asarray([0, 0, 1, 2, 0, 0, 0, 3], np.int64)
    expected = run_reference(whole.SerializeToString(), inputs, 1)
    assert list(model.rest.outputs) == [value.name for value in whole.graph.output]
    found = both(model, inputs)
    for got, want in zip(found, expected, strict=True):
        assert got.shape == want.shape
        if want.dtype.kind == "f":
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(got, want)


def test_where_it_is_cut_is_said_and_inputs_of_the_rest_alone_are_kept_out(tmp_path: Path) -> None:
    model = prepare(save_detector(tmp_path / "model.onnx", "sizes that are fed"))
    assert [spec.name for spec in model.inputs] == ["x"]
    assert model.rest is not None
    assert [spec.name for spec in model.rest.inputs] == ["p", "pads"]
    assert "cut before Pad (node that makes 'y')" in model.changes[0]


def test_sizes_of_what_comes_before_are_constants_of_the_rest(tmp_path: Path) -> None:
    model = prepare(save_detector(tmp_path / "model.onnx", "entries and sizes"))
    assert model.rest is not None
    assert [spec.name for spec in model.rest.inputs] == ["flat", "good"]


def test_a_model_without_such_operators_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(Hard("(float[2,3] x) => (float[2,3] y) { y = Relu (x) }").model().SerializeToString())
    assert prepare(path).rest is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "(float[1,4,4] b, float[1,2,4] s) => (int64[n,3] i) { i = NonMaxSuppression (b, s) }",
            "NonMaxSuppression .* depends on the values of 'b', and nothing comes before it",
        ),
        (
            "(float[4,4] x) => (float[n,4] y) <float[4,4] w> "
            "{ i = NonZero (x) a = Transpose (i) r = Cast <to = 1> (a) q = MatMul (r, v) y = MatMul (q, u) }",
            "NonZero .* and nothing comes before it",
        ),
        (
            "(float[4,4] x) => (float[n,4] y) { r = Relu (x) i = NonZero (r) a = Transpose (i) "
            "f = Cast <to = 1> (a) q = MatMul (f, v) y = MatMul (q, u) }",
            "NonZero .* and less comes before it than after",
        ),
    ],
)
def test_what_leaves_nothing_to_tune_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    model = Hard(text.replace("<float[4,4] w> ", "")).model()
    for name, shape in (("v", (2, 4)), ("u", (4, 4))):
        values = np.ones(shape, np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=reason):
        prepare(path)


def test_the_rest_is_the_same_each_time(tmp_path: Path) -> None:
    path = save_detector(tmp_path / "model.onnx")
    assert prepare(path) == prepare(path)
    assert random_inputs(prepare(path).inputs, 1)["x"].shape == (1, 3, 8, 8)
