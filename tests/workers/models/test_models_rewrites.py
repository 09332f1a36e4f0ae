"""What TVM reads otherwise is written out, and computes what it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.kit.compiled_models import unhurried
from tests.kit.hard_models import HARD, Hard
from workers.clients import EngineClient
from workers.errors import ModelError
from workers.messages import DeviceInfo, PreparedModel, RecordChoice
from workers.models import compare, prepare, random_inputs, run_reference

Save = Callable[[onnx.ModelProto], Path]


def inputs_of(hard: Hard, prepared: PreparedModel, seed: int) -> dict[str, np.ndarray]:
    return {**random_inputs(prepared.inputs, seed), **(hard.inputs if seed else {})}


def prepared_of(hard: Hard, save: Save) -> tuple[onnx.ModelProto, PreparedModel]:
    model = hard.model()
    if hard.shapes:
        model.graph.input[0].type.tensor_type.ClearField("shape")
    return model, prepare(str(save(model)), hard.shapes)


@pytest.mark.parametrize("name", HARD)
def test_a_model_that_tvm_reads_otherwise_is_written_out(name: str, save: Save) -> None:
    hard = HARD[name]
    model, prepared = prepared_of(hard, save)
    operators = {node.op_type for node in onnx.load_from_string(prepared.onnx).graph.node}
    assert not operators & set(hard.gone)
    for seed in (0, 3):
        inputs = inputs_of(hard, prepared, seed)
        want = run_reference(model.SerializeToString(), inputs, 1, optimize=False)
        got = run_reference(prepared.onnx, inputs, 1, optimize=False)
        found = compare(got, want)
        assert found.ok, found.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", HARD)
def test_its_library_is_right(name: str, save: Save, engine: EngineClient, device: DeviceInfo) -> None:
    hard = HARD[name]
    model, prepared = prepared_of(hard, save)
    target = unhurried(device.target)
    compiled = engine.compile(prepared, target, RecordChoice("untuned", lend=False)).result()
    for seed in (0, 3):
        inputs = inputs_of(hard, prepared, seed)
        ordered = {spec.name: inputs[spec.name] for spec in prepared.inputs}
        run = engine.run(compiled, ordered, target)
        want = run_reference(model.SerializeToString(), inputs, 1, optimize=False)
        found = compare(run.outputs, want)
        assert found.ok, found.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(float[4,6] x, int64[2] s) => (float[a,b] y) { y = Reshape (x, s) }", r"Reshape .*values of 's'"),
        ("(float[4,6] x, int64[3] s) => (float[a,b,c] y) { y = Expand (x, s) }", r"Expand .*values of 's'"),
        (
            "(float[2,3,5,5] x) => (float[2,3,5,5] y) <float[3] s = {1, 2, 3}>"
            "{ y, m, v = BatchNormalization <training_mode = 1> (x, s, s, s, s) }",
            r"BatchNormalization .* training mode",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(text: str, reason: str, save: Save) -> None:
    with pytest.raises(ModelError, match=reason):
        prepare(str(save(replace(Hard(text), opset=15).model())))


def test_negative_pads_are_cut_off(save: Save) -> None:
    text = (
        "(float[1,1,6,6] x) => (float[1,1,4,2] y) <float[1,1,2,2] w = {1, 2, 3, 4}>"
        "{ y = Conv <pads = [0, -2, -1, -1]> (x, w) }"
    )
    prepared = prepare(str(save(Hard(text, opset=15).model())))
    x = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)
    (y,) = run_reference(prepared.onnx, {"x": x}, 1)
    part = x[0, 0, 0:5, 2:5]
    want = part[:-1, :-1] + 2 * part[:-1, 1:] + 3 * part[1:, :-1] + 4 * part[1:, 1:]
    np.testing.assert_allclose(y[0, 0], want)


def test_nodes_out_of_order_and_sparse_constants_are_mended(save: Save) -> None:
    model = Hard("(float[3] x) => (float[3] y) { a = Neg (x) b = Relu (a) y = Add (b, d) }", opset=15).model()
    nodes = list(model.graph.node)[::-1]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    sparse = model.graph.sparse_initializer.add(dims=[3])
    sparse.values.CopyFrom(onnx.numpy_helper.from_array(np.array([5.0], np.float32), "d"))
    sparse.indices.CopyFrom(onnx.numpy_helper.from_array(np.array([1], np.int64)))
    prepared = prepare(str(save(model)))
    (y,) = run_reference(prepared.onnx, {"x": np.array([-1, -2, 3], np.float32)}, 1)
    np.testing.assert_allclose(y, [1, 7, 0])
    assert "put its nodes in the order of their use" in prepared.changes
    assert "wrote out 1 sparse constants" in prepared.changes


def test_a_nodes_name_is_given_once(save: Save) -> None:
    # As after a simplifier gave the output of a node that a rule had written another name.
    model = Hard("(float16[2,8] x) => (float16[2,8] y) { a = Add (x, x) y = Softmax (a) }", opset=15).model()
    model.graph.node[0].name = "hard/rewritten/Cast_1"
    nodes = onnx.load_from_string(prepare(str(save(model))).onnx).graph.node
    names = [node.name for node in nodes]
    assert "hard/rewritten/Cast_1" in names
    assert len(set(names)) == len(names)
