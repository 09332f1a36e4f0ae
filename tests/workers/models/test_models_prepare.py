"""What prepare does to a model, and that it computes the same afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.kit.model_builders import Save, constant, dense_model, model_of, tensor, weight
from workers.errors import ModelError
from workers.messages import PreparedModel
from workers.models import compare, prepare, random_inputs, run_reference
from workers.models._simplify import SIMPLIFIERS


def operators(data: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(data).graph.node]


def same_as_original(model: onnx.ModelProto, prepared: PreparedModel, seed: int = 3) -> bool:
    inputs = random_inputs(prepared.inputs, seed)
    found = compare(
        run_reference(prepared.onnx, inputs, 1), run_reference(model.SerializeToString(), inputs, 1)
    )
    return found.ok


def reshape_by_shape() -> onnx.ModelProto:
    """Flattens by a shape computed at run time, as exporters write it."""
    return model_of(
        [
            helper.make_node("Shape", ["x"], ["shape"]),
            helper.make_node("Gather", ["shape", "zero"], ["batch"]),
            helper.make_node("Unsqueeze", ["batch", "axis"], ["batch1"]),
            helper.make_node("Concat", ["batch1", "rest"], ["target"], axis=0),
            helper.make_node("Reshape", ["x", "target"], ["flat"]),
            helper.make_node("Relu", ["flat"], ["y"]),
        ],
        [tensor("x", ["n", 3, 4])],
        [tensor("y", ["n", "m"])],
        [numpy_helper.from_array(np.array(0), "zero"), constant("axis", 0), constant("rest", -1)],
    )


def branching(
    condition_nodes: Sequence[onnx.NodeProto], inputs: Sequence[onnx.ValueInfoProto]
) -> onnx.ModelProto:
    then = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["t"])], "then", [], [tensor("t", [2, 2])]
    )
    other = helper.make_graph(
        [helper.make_node("MatMul", ["x", "v"], ["e"])], "else", [], [tensor("e", [2, 2])]
    )
    return model_of(
        [*condition_nodes, helper.make_node("If", ["flag"], ["y"], then_branch=then, else_branch=other)],
        [tensor("x", [2, 2]), *inputs],
        [tensor("y", [2, 2])],
        [weight("w", 2, 2), weight("v", 2, 2), constant("rate", 16000)],
    )


def test_shapes_computed_at_run_time_are_folded(save: Save) -> None:
    model = reshape_by_shape()
    prepared = prepare(save(model), {"x": (2, 3, 4)})
    assert sorted(operators(prepared.onnx)) == ["Relu", "Reshape"]
    assert prepared.outputs[0].shape == (2, 12)
    assert "folded constants and merged operators: 6 became 2 (onnxslim)" in prepared.changes
    assert same_as_original(model, prepared)


def padding_blocks(count: int) -> onnx.ModelProto:
    """Each pads its rows to whole windows of 4, and drops that again, by what the one before it came to."""
    nodes = []
    for n in range(count):
        nodes += [
            helper.make_node("Shape", [f"x{n}"], [f"shape{n}"]),
            helper.make_node("Gather", [f"shape{n}", "one"], [f"size{n}"]),
            helper.make_node("Neg", [f"size{n}"], [f"minus{n}"]),
            helper.make_node("Mod", [f"minus{n}", "window"], [f"more{n}"]),
            helper.make_node("Concat", ["none", f"more{n}"], [f"pads{n}"], axis=0),
            helper.make_node("Pad", [f"x{n}", f"pads{n}"], [f"padded{n}"]),
            helper.make_node("Cos", [f"padded{n}"], [f"cos{n}"]),
            helper.make_node("Slice", [f"cos{n}", "zero", f"size{n}", "one"], [f"x{n + 1}"]),
        ]
    return model_of(
        nodes,
        [tensor("x0", [2, 7])],
        [tensor(f"x{count}", None)],
        [constant("zero", 0), constant("one", 1), constant("window", 4), constant("none", 0, 0, 0)],
    )


def test_however_many_blocks_pad_by_what_the_one_before_came_to(save: Save) -> None:
    model = padding_blocks(20)
    prepared = prepare(save(model))
    assert sorted(set(operators(prepared.onnx))) == ["Cos", "Pad", "Slice"]
    assert same_as_original(model, prepared)


def test_dropout_and_identity_go_even_at_an_output(save: Save) -> None:
    model = model_of(
        [
            helper.make_node("Identity", ["x"], ["a"]),
            helper.make_node("Dropout", ["a"], ["b"]),
            helper.make_node("Relu", ["b"], ["c"]),
            helper.make_node("Dropout", ["c"], ["y"]),
        ],
        [tensor("x", [4])],
        [tensor("y", [4])],
    )
    prepared = prepare(save(model))
    assert "Dropout" not in operators(prepared.onnx)
    assert any(change.startswith("removed 2 Dropout and ") for change in prepared.changes)
    assert same_as_original(model, prepared)


def test_a_branch_with_a_constant_condition_is_taken(save: Save) -> None:
    equal = [
        helper.make_node("Equal", ["rate", "rate"], ["same"]),
        helper.make_node("Squeeze", ["same"], ["flag"]),
    ]
    model = branching(equal, [])
    prepared = prepare(save(model))
    assert operators(prepared.onnx) == ["MatMul"]
    assert "resolved 1 If whose conditions are constant" in prepared.changes
    assert same_as_original(model, prepared)


def test_a_branch_chosen_by_an_input_stays(save: Save) -> None:
    equal = [
        helper.make_node("Equal", ["sr", "rate"], ["same"]),
        helper.make_node("Squeeze", ["same"], ["flag"]),
    ]
    model = branching(equal, [tensor("sr", [1], TensorProto.INT64)])
    prepared = prepare(save(model))
    assert "If" in operators(prepared.onnx)
    assert prepared.outputs[0].shape == (2, 2)


def test_a_fault_in_the_branch_random_values_never_take_is_found(
    save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    equal = [
        helper.make_node("Equal", ["sr", "rate"], ["same"]),
        helper.make_node("Squeeze", ["same"], ["flag"]),
    ]
    model = branching(equal, [tensor("sr", [1], TensorProto.INT64)])

    def spoil(model: onnx.ModelProto, store: object) -> onnx.ModelProto:
        changed = onnx.ModelProto.FromString(model.SerializeToString())
        (w,) = (t for t in changed.graph.initializer if t.name == "w")
        w.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(w), "w"))
        return changed

    monkeypatch.setattr("workers.models._prepare.SIMPLIFIERS", (("spoiler", spoil),))
    with pytest.raises(ModelError, match="simplified by spoiler, output 'y' differs by"):
        prepare(save(model))


def scaled(model: onnx.ModelProto, store: object) -> onnx.ModelProto:
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    changed.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(
            numpy_helper.to_array(changed.graph.initializer[0]) * np.float32(1.1),
            changed.graph.initializer[0].name,
        )
    )
    return changed


def crash(model: onnx.ModelProto, store: object) -> onnx.ModelProto:
    raise RuntimeError("no such pass")


def test_a_simplifier_that_changes_the_outputs_is_found_out(
    save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.models._prepare.SIMPLIFIERS", (("scaler", scaled),))
    with pytest.raises(
        ModelError, match=r"simplified by scaler, output 'y' differs by .* of its largest value"
    ):
        prepare(save(dense_model(2)))


@pytest.mark.parametrize("first", [scaled, crash])
def test_the_next_simplifier_takes_over(
    save: Save, monkeypatch: pytest.MonkeyPatch, first: Callable[..., onnx.ModelProto]
) -> None:
    monkeypatch.setattr("workers.models._prepare.SIMPLIFIERS", (("first", first), *SIMPLIFIERS))
    model = reshape_by_shape() if first is crash else dense_model(2)
    prepared = prepare(save(model), {} if first is scaled else {"x": (2, 3, 4)})
    assert same_as_original(model, prepared)


@pytest.mark.parametrize("number", range(len(SIMPLIFIERS)))
def test_either_simplifier_alone_folds_shapes(
    save: Save, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("workers.models._prepare.SIMPLIFIERS", (SIMPLIFIERS[number],))
    prepared = prepare(save(reshape_by_shape()), {"x": (2, 3, 4)})
    assert sorted(operators(prepared.onnx)) == ["Relu", "Reshape"]


def test_float16_stays_float16(save: Save) -> None:
    model = model_of(
        [helper.make_node("Conv", ["x", "w"], ["a"]), helper.make_node("Relu", ["a"], ["y"])],
        [tensor("x", [1, 3, 8, 8], TensorProto.FLOAT16)],
        [tensor("y", [1, 4, 6, 6], TensorProto.FLOAT16)],
        [weight("w", 4, 3, 3, 3, dtype=np.float16)],
    )
    prepared = prepare(save(model))
    assert "Cast" not in operators(prepared.onnx)
    assert prepared.inputs[0].dtype == prepared.outputs[0].dtype == "float16"


def test_only_standard_operators_are_written(save: Save) -> None:
    model = onnx.load_from_string(prepare(save(reshape_by_shape()), {"x": (2, 3, 4)}).onnx)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}


def test_inputs_keep_their_order_even_when_unused(save: Save) -> None:
    model = model_of(
        [helper.make_node("Relu", ["b"], ["y"])],
        [tensor("unused", [3]), tensor("b", [2])],
        [tensor("y", [2])],
    )
    assert [spec.name for spec in prepare(save(model)).inputs] == ["unused", "b"]


def test_the_name_is_the_files_stem(save: Save) -> None:
    assert prepare(save(dense_model(2))).name == "model"


def test_an_old_model_can_be_prepared(save: Save) -> None:
    model = dense_model(2)
    model.ir_version = 3
    model.opset_import[0].version = 8
    model.graph.input.extend([tensor("w", [8, 4]), tensor("b", [4])])
    prepared = prepare(save(model))
    onnx.checker.check_model(onnx.load_from_string(prepared.onnx))
    assert prepared.outputs[0].shape == (2, 4)


def test_the_same_file_and_shapes_give_the_same_bytes_in_every_process(save: Save) -> None:
    path = save(reshape_by_shape())
    script = (
        "import hashlib, sys; from workers.models import prepare; "
        "print(hashlib.sha256(prepare(sys.argv[1], {'x': (2, 3, 4)}).onnx).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script, str(path)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
