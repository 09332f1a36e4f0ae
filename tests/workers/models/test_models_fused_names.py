"""Models that were saved after onnxruntime's fusion of MatMul and Add, as before they are quantized."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from workers.errors import ModelError
from workers.models import prepare, run_reference


def weights(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.random.default_rng(0).standard_normal(shape).astype(np.float32), name)


def product(model: onnx.ModelProto, number: int) -> None:
    """Append a product of three dimensions and a sum."""
    last = model.graph.output[0]
    names = [f"{letter}{number}" for letter in "wbmy"]
    model.graph.node.append(helper.make_node("MatMul", [last.name, names[0]], [names[2]]))
    model.graph.node.append(helper.make_node("Add", [names[2], names[1]], [names[3]]))
    model.graph.initializer.extend([weights(names[0], 8, 8), weights(names[1], 8)])
    last.name = names[3]


def test_fused_shapes_get_names_that_no_other_fusion_gives(tmp_path: Path) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 6, 8)) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    product(model, 0)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(model.SerializeToString(), options)
    fused = onnx.load(tmp_path / "fused.onnx")
    shapes = {tensor.name for tensor in fused.graph.initializer if tensor.name.startswith("gemm_")}
    assert len(shapes) == 2
    onnx.save(fused, tmp_path / "model.onnx")
    ready = onnx.load_from_string(prepare(str(tmp_path / "model.onnx")).onnx)
    names = {tensor.name for tensor in ready.graph.initializer}
    assert not names & shapes
    assert {f"known_{name}" for name in shapes} & names
    # This is what they are renamed for.
    inputs = {"x": np.ones((1, 6, 8), np.float32)}
    product(fused, 1)
    with pytest.raises(ModelError, match="replace the existing tensor"):
        run_reference(fused.SerializeToString(), inputs, 1)
    product(ready, 1)
    (got,) = run_reference(ready.SerializeToString(), inputs, 1)
    (want,) = run_reference(fused.SerializeToString(), inputs, 1, optimize=False)
    np.testing.assert_allclose(got, want, rtol=1e-5)
