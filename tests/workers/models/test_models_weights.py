"""Random weights for the light models of the onnx package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
import pytest

from workers.models import prepare, random_inputs, run_reference, with_random_weights

LIGHT = Path(onnx.backend.test.__file__).parent / "data" / "light"


@pytest.fixture(scope="module")
def squeezenet() -> onnx.ModelProto:
    return with_random_weights(onnx.load(LIGHT / "light_squeezenet.onnx"), seed=4)


def test_no_constant_weights_are_left(squeezenet: onnx.ModelProto) -> None:
    assert "ConstantOfShape" not in {node.op_type for node in squeezenet.graph.node}
    onnx.checker.check_model(squeezenet)


def test_the_shapes_stay_those_of_the_model(squeezenet: onnx.ModelProto) -> None:
    original = onnx.load(LIGHT / "light_squeezenet.onnx")
    inferred = onnx.shape_inference.infer_shapes(squeezenet, strict_mode=True)
    assert [o.type for o in inferred.graph.output] == [o.type for o in original.graph.output]


def test_a_seed_decides_the_weights(squeezenet: onnx.ModelProto) -> None:
    original = onnx.load(LIGHT / "light_squeezenet.onnx")
    again, other = (with_random_weights(original, seed=seed) for seed in (4, 5))
    assert again.SerializeToString(deterministic=True) == squeezenet.SerializeToString(deterministic=True)
    assert other.SerializeToString(deterministic=True) != squeezenet.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    "name",
    ["light_squeezenet", "light_shufflenet", pytest.param("light_resnet50", marks=pytest.mark.slow)],
)
def test_outputs_depend_on_the_input_and_are_not_saturated(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(with_random_weights(onnx.load(LIGHT / f"{name}.onnx")).SerializeToString())
    prepared = prepare(path)
    first, second = (
        run_reference(prepared.onnx, random_inputs(prepared.inputs, seed), threads=1)[0].ravel()
        for seed in (1, 2)
    )
    # A thousand classes: an even guess is 0.001, a saturated softmax 1.
    assert 0.002 < first.max() < 0.5
    assert np.abs(first - second).max() > 1e-3 * first.max()


def test_batch_norm_variances_are_positive() -> None:
    model = with_random_weights(onnx.load(LIGHT / "light_shufflenet.onnx"))
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    variances = [stored[n.input[4]] for n in model.graph.node if n.op_type == "BatchNormalization"]
    assert len(variances) > 40
    assert all(variance.min() > 0.0 for variance in variances)
