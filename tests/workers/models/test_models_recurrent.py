"""LSTM, GRU and RNN written out, against onnxruntime's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.kit.model_builders import Save, constant, model_of, tensor, weight
from workers.errors import ModelError
from workers.messages import PreparedModel
from workers.models import compare, prepare, random_inputs, run_reference
from workers.models._recurrent import unroll_recurrent

STEPS, BATCH, FEATURES, HIDDEN = 5, 3, 4, 6
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent(
    kind: str,
    direction: str = "forward",
    *,
    states: bool = True,
    bias: bool = True,
    opset: int = 17,
    lengths: Sequence[int] | None = None,
    dtype: type[np.generic] = np.float32,
    steps: int | None = STEPS,
    **attributes: object,
) -> onnx.ModelProto:
    directions = 2 if direction == "bidirectional" else 1
    gates = GATES[kind]
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    state = [directions, BATCH, HIDDEN]
    names = ["h0", "c0"] if kind == "LSTM" else ["h0"]
    node = helper.make_node(
        kind,
        ["x", "w", "r", "b" if bias else "", "lengths" if lengths else "", *(names if states else [])],
        ["y", "y_h", *(["y_c"] if kind == "LSTM" else [])],
        name="cell",
        hidden_size=HIDDEN,
        direction=direction,
        **attributes,
    )
    initializers = [
        weight("w", directions, gates * HIDDEN, FEATURES, dtype=dtype),
        weight("r", directions, gates * HIDDEN, HIDDEN, dtype=dtype),
    ]
    if bias:
        initializers.append(weight("b", directions, 2 * gates * HIDDEN, dtype=dtype))
    if lengths:
        initializers.append(constant("lengths", *lengths, dtype=np.int32))
    return model_of(
        [node],
        [
            tensor("x", [steps, BATCH, FEATURES], element),
            *(tensor(name, state, element) for name in names if states),
        ],
        [tensor(name, None, element) for name in node.output],
        initializers,
        opset=opset,
    )


def save_with_ranks(model: onnx.ModelProto, save: Save) -> Path:
    # The checker wants a rank on every output.
    for value in model.graph.output:
        rank = 4 if value.name == "y" else 3
        value.CopyFrom(tensor(value.name, [None] * rank, value.type.tensor_type.elem_type))
    return save(model)


def unrolled(model: onnx.ModelProto, save: Save) -> PreparedModel:
    """The prepared model, checked against onnxruntime's own operator on other inputs than prepare used."""
    prepared = prepare(save_with_ranks(model, save))
    operators = {node.op_type for node in onnx.load_from_string(prepared.onnx).graph.node}
    assert not operators & set(GATES)
    inputs = random_inputs(prepared.inputs, 11)
    found = compare(
        run_reference(prepared.onnx, inputs, 1),
        run_reference(model.SerializeToString(), inputs, 1),
        rtol=1e-5,
    )
    assert found.ok, found.reason
    return prepared


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("states", [True, False], ids=["with states", "from zero"])
def test_every_kind_and_direction_computes_the_same(
    save: Save, kind: str, direction: str, states: bool
) -> None:
    unrolled(recurrent(kind, direction, states=states), save)


@pytest.mark.parametrize("states", [True, False], ids=["with states", "from zero"])
@pytest.mark.parametrize("bias", [True, False], ids=["with bias", "without bias"])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_a_gru_that_resets_after_its_product_computes_the_same(
    save: Save, states: bool, bias: bool, direction: str
) -> None:
    unrolled(recurrent("GRU", direction, states=states, bias=bias, linear_before_reset=1), save)


@pytest.mark.parametrize("kind", GATES)
def test_no_bias_is_fine(save: Save, kind: str) -> None:
    unrolled(recurrent(kind, bias=False), save)


@pytest.mark.parametrize("kind", GATES)
def test_one_step_is_fine(save: Save, kind: str) -> None:
    prepared = unrolled(recurrent(kind, steps=1), save)
    assert f"unrolled {kind} 'cell' over 1 step" in prepared.changes


@pytest.mark.parametrize("opset", [7, 9, 12, 14, 21])
def test_old_and_new_opsets_are_written_in_their_own_operators(save: Save, opset: int) -> None:
    unrolled(recurrent("LSTM", "bidirectional", opset=opset), save)


def test_other_activations_are_kept(save: Save) -> None:
    unrolled(recurrent("LSTM", activations=["Sigmoid", "Relu", "Tanh"]), save)
    unrolled(recurrent("RNN", "bidirectional", activations=["Relu", "Tanh"]), save)


def test_lengths_that_equal_the_sequence_are_no_obstacle(save: Save) -> None:
    unrolled(recurrent("GRU", lengths=[STEPS] * BATCH), save)


def test_the_change_names_the_node_and_its_steps(save: Save) -> None:
    assert "unrolled LSTM 'cell' over 5 steps" in unrolled(recurrent("LSTM"), save).changes


def test_outputs_nobody_asks_for_are_not_made(save: Save) -> None:
    model = recurrent("LSTM")
    model.graph.node[0].output[0] = ""
    del model.graph.node[0].output[2:]
    del model.graph.output[2:]
    del model.graph.output[0]
    prepared = unrolled(model, save)
    assert [spec.name for spec in prepared.outputs] == ["y_h"]


def test_a_recurrent_node_inside_a_branch_is_unrolled(save: Save) -> None:
    model = recurrent("GRU", states=False)
    cell = model.graph.node[0]
    del cell.output[1:]
    plain = helper.make_node("Expand", ["zero", "shape"], ["e"])
    shape = [STEPS, 1, BATCH, HIDDEN]
    branches = {
        "then_branch": helper.make_graph([cell], "then", [], [tensor("y", shape)]),
        "else_branch": helper.make_graph([plain], "else", [], [tensor("e", shape)]),
    }
    wrapped = model_of(
        [helper.make_node("If", ["flag"], ["out"], **branches)],
        [*model.graph.input, tensor("flag", [], TensorProto.BOOL)],
        [tensor("out", shape)],
        [
            *model.graph.initializer,
            helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
            constant("shape", *shape),
        ],
    )
    prepared = prepare(save(wrapped))
    for flag in (True, False):
        inputs = random_inputs(prepared.inputs, 5) | {"flag": np.array(flag)}
        assert compare(
            run_reference(prepared.onnx, inputs, 1), run_reference(wrapped.SerializeToString(), inputs, 1)
        ).ok
    assert "unrolled GRU 'cell' over 5 steps" in prepared.changes


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (recurrent("LSTM", clip=1.0), "clips"),
        (recurrent("LSTM", input_forget=1), "coupled"),
        (recurrent("GRU", lengths=[5, 3, 1]), "lengths of their own"),
        (recurrent("RNN", activations=["Elu"]), "activation Elu"),
    ],
    ids=["clip", "coupled gates", "lengths", "activation"],
)
def test_what_cant_be_unrolled_says_why_and_where(save: Save, model: onnx.ModelProto, reason: str) -> None:
    with pytest.raises(ModelError, match=rf"'cell' .*{reason}"):
        prepare(save_with_ranks(model, save))


def test_peepholes_are_refused(save: Save) -> None:
    model = recurrent("LSTM")
    model.graph.node[0].input.append("p")
    model.graph.initializer.append(weight("p", 1, 3 * HIDDEN))
    with pytest.raises(ModelError, match=r"'cell' .*peepholes"):
        prepare(save_with_ranks(model, save))


def test_a_batch_that_comes_first_is_refused() -> None:
    with pytest.raises(ModelError, match=r"'cell' .*layout 1"):
        unroll_recurrent(recurrent("LSTM", layout=1), Path("model.onnx"))
