"""Which kernels are computed apart from what reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from workers.clients import EngineClient
from workers.messages import DeviceInfo
from workers.models import prepare


@pytest.mark.parametrize(("mode", "apart"), [("linear", True), ("nearest", False)])
def test_a_resize_that_computes_is_no_part_of_a_concat_and_one_that_copies_is(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path, mode: str, apart: bool
) -> None:
    image = [1, 3, 6, 6]
    graph = helper.make_graph(
        [
            helper.make_node("Resize", ["x", "", "scales"], ["large"], mode=mode),
            helper.make_node("Concat", ["large", "side"], ["y"], axis=1),
        ],
        "resized",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, image),
            helper.make_tensor_value_info("side", TensorProto.FLOAT, [1, 2, 12, 12]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5, 12, 12])],
        [numpy_helper.from_array(np.array([1, 1, 2, 2], "float32"), "scales")],
    )
    path = tmp_path / "resized.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    names = [task.name for task in engine.extract(prepare(str(path), {}), device.target).tasks]
    (resize,) = [name for name in names if "resize2d" in name]
    assert ("concat" not in resize) == apart


def test_what_is_computed_element_by_element_is_no_part_of_a_concat(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path
) -> None:
    def value(name: str, *sizes: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)

    graph = helper.make_graph(
        [
            helper.make_node("Sigmoid", ["scores"], ["likely"]),
            helper.make_node("Transpose", ["likely"], ["turned"], perm=[0, 2, 1]),
            helper.make_node("Concat", ["boxes", "turned"], ["y"], axis=1),
        ],
        "detected",
        [value("scores", 1, 20, 5), value("boxes", 1, 4, 20)],
        [value("y", 1, 9, 20)],
    )
    path = tmp_path / "detected.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    names = [task.name for task in engine.extract(prepare(str(path), {}), device.target).tasks]
    (concat,) = [name for name in names if "concat" in name]
    assert "sigmoid" not in concat


@pytest.mark.parametrize(
    ("computed", "kernel", "apart"), [("Sigmoid", "sigmoid", True), ("Relu", "maximum", False)]
)
def test_a_concat_is_a_kernel_of_its_own_where_much_is_computed_of_it(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path, computed: str, kernel: str, apart: bool
) -> None:
    def value(name: str, *sizes: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)

    graph = helper.make_graph(
        [
            helper.make_node("Concat", ["near", "far"], ["scores"], axis=1),
            helper.make_node(computed, ["scores"], ["likely"]),
            helper.make_node("Transpose", ["likely"], ["y"], perm=[0, 2, 1]),
        ],
        "scored",
        [value("near", 1, 20, 5), value("far", 1, 4, 5)],
        [value("y", 1, 5, 24)],
    )
    path = tmp_path / "scored.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    names = [task.name for task in engine.extract(prepare(str(path), {}), device.target).tasks]
    (concat,) = [name for name in names if "concat" in name]
    assert (kernel not in concat) == apart
