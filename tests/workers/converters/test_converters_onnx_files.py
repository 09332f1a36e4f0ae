"""An exporter's model under the source's names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from workers.converters import onnx_files
from workers.converters.contract import ConversionError, Tensor


def _model() -> Any:
    """Two sums, one in a branch, of inputs and outputs with an exporter's names."""
    value = helper.make_tensor_value_info
    branch = helper.make_graph(
        [helper.make_node("Add", ["a:0", "w"], ["then"])],
        "then",
        [],
        [value("then", TensorProto.FLOAT, None)],
    )
    other = helper.make_graph(
        [helper.make_node("Identity", ["a:0"], ["else"])],
        "else",
        [],
        [value("else", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("If", ["flag"], ["out:1"], then_branch=branch, else_branch=other),
        helper.make_node("Mul", ["b:0", "b:0"], ["y"]),
        helper.make_node("Neg", ["y"], ["out:0"]),
    ]
    inputs = [value("b:0", TensorProto.FLOAT, ["unk__1", "unk__2"]), value("a:0", TensorProto.FLOAT, [2])]
    outputs = [
        value("out:1", TensorProto.FLOAT, [2]),
        value("out:0", TensorProto.FLOAT, ["unk__1", "unk__2"]),
    ]
    weights = [
        numpy_helper.from_array(np.ones(2, np.float32), "w"),
        numpy_helper.from_array(np.array(True), "flag"),
    ]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_names_change_everywhere_and_come_in_the_source_s_order(tmp_path: Path) -> None:
    model = _model()
    # "y" is taken inside.
    onnx_files.name_inputs(model, {"a:0": "left", "b:0": "y"})
    onnx_files.name_outputs(model, {"out:0": "first", "out:1": "second"})
    assert onnx_files.write(model, str(tmp_path), "x") == "model-x.onnx"
    session = onnxruntime.InferenceSession(tmp_path / "model-x.onnx", providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["left", "y"]
    assert [one.name for one in session.get_outputs()] == ["first", "second"]
    left, right = np.array([1, 2], np.float32), np.array([[3, 4]], np.float32)
    first, second = session.run(None, {"left": left, "y": right})
    assert np.array_equal(first, [[-9, -16]])
    assert np.array_equal(second, [2, 3])


def test_open_sizes_get_names_that_tell_something() -> None:
    model = _model()
    onnx_files.name_inputs(model, {"a:0": "left", "b:0": "right"})
    onnx_files.name_open_sizes(model, "batch")
    inputs, outputs = onnx_files.tensors(model.graph.input), onnx_files.tensors(model.graph.output)
    assert inputs == (Tensor("left", "float32", (2,)), Tensor("right", "float32", ("batch", "right_1")))
    assert outputs[1] == Tensor("out:0", "float32", ("batch", "right_1"))
    onnx_files.name_open_sizes(model, "")
    assert onnx_files.tensors(model.graph.input)[1].shape == (-1, "right_1")


def test_known_sizes_are_written_into_the_inputs() -> None:
    model = _model()
    onnx_files.fix_shapes(model, [Tensor("a:0", "float32", (2,)), Tensor("b:0", "float32", (4, -1))])
    assert onnx_files.tensors(model.graph.input)[0].shape == (4, "unk__2")


def test_outputs_that_are_left_out_take_what_made_them_along() -> None:
    model = _model()
    onnx_files.keep_outputs(model, ["out:0"])
    assert [node.op_type for node in model.graph.node] == ["Mul", "Neg"]
    onnx.checker.check_model(model)
    with pytest.raises(ConversionError, match="none of the model's outputs"):
        onnx_files.keep_outputs(model, ["gone"])


def test_operators_of_a_framework_are_found_in_branches_too() -> None:
    model = _model()
    assert onnx_files.foreign_operators(model) == []
    branch = next(one.g for one in model.graph.node[0].attribute if one.name == "then_branch")
    branch.node[0].op_type, branch.node[0].name = "Svd", "layer/Svd"
    model.graph.node.append(helper.make_node("Gelu2", ["y"], ["z"], "own", domain="my.own"))
    assert onnx_files.foreign_operators(model) == [("Svd", "layer/Svd"), ("Gelu2", "own")]


def test_weights_that_one_file_can_t_hold_lie_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_files, "_MOST_INLINE_BYTES", 8)
    model = _model()
    model.graph.initializer.append(numpy_helper.from_array(np.ones(2000, np.float32), "big"))
    onnx_files.write(model, str(tmp_path), "x")
    assert {one.name for one in tmp_path.iterdir()} == {"model-x.onnx", "model-x.onnx.data"}
    assert onnx.load(tmp_path / "model-x.onnx").graph.initializer[-1].dims == [2000]
