"""Operators, inputs and outputs that can't be tuned."""

from __future__ import annotations

import onnx
import onnx.parser
import pytest
from onnx import TensorProto, helper

from tests.kit.model_builders import Save, constant, dense_model, model_of, tensor, weight
from workers.errors import ModelError
from workers.models import _verify, prepare


def test_a_custom_operator_is_named_with_its_node_and_domain(save: Save) -> None:
    model = model_of(
        [helper.make_node("FancyNorm", ["x"], ["y"], name="norm_7", domain="acme.ai")],
        [tensor("x", [1, 4])],
        [tensor("y", [1, 4])],
        domains=["acme.ai"],
    )
    with pytest.raises(ModelError, match=r"FancyNorm of domain 'acme.ai' \(node 'norm_7'\)"):
        prepare(save(model))


def test_a_custom_operator_inside_a_branch_is_found(save: Save) -> None:
    inner = helper.make_node("FancyNorm", ["x"], ["b"], domain="acme.ai")
    branches = {
        "then_branch": helper.make_graph([inner], "then", [], [tensor("b", [4])]),
        "else_branch": helper.make_graph(
            [helper.make_node("Relu", ["x"], ["c"])], "else", [], [tensor("c", [4])]
        ),
    }
    model = model_of(
        [helper.make_node("If", ["flag"], ["y"], **branches)],
        [tensor("flag", [], TensorProto.BOOL), tensor("x", [4])],
        [tensor("y", [4])],
        domains=["acme.ai"],
    )
    with pytest.raises(ModelError, match=r"FancyNorm of domain 'acme.ai'"):
        prepare(save(model))


def test_the_models_own_functions_are_inlined(save: Save) -> None:
    function = helper.make_function(
        "own",
        "Double",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 17)],
    )
    model = model_of(
        [helper.make_node("Double", ["x"], ["y"], domain="own")],
        [tensor("x", [3])],
        [tensor("y", [3])],
        domains=["own"],
        functions=[function],
    )
    assert "inlined 1 functions that the model defines" in prepare(save(model)).changes


def test_an_operator_that_draws_random_numbers_is_refused(save: Save) -> None:
    model = model_of(
        [
            helper.make_node("RandomNormalLike", ["x"], ["noise"]),
            helper.make_node("Add", ["x", "noise"], ["y"]),
        ],
        [tensor("x", [3])],
        [tensor("y", [3])],
    )
    with pytest.raises(ModelError, match=r"RandomNormalLike .* random numbers"):
        prepare(save(model))


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (helper.make_tensor_type_proto(TensorProto.STRING, [2]), "string tensor"),
        (helper.make_tensor_type_proto(TensorProto.BFLOAT16, [2]), "bfloat16 tensor"),
        (helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [2])), "sequence"),
        (helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [2])), "optional"),
        (
            helper.make_map_type_proto(
                TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [2])
            ),
            "map",
        ),
    ],
)
def test_an_input_that_is_no_tensor_of_numbers_is_named(save: Save, kind: str, named: str) -> None:
    model = dense_model(2)
    model.graph.input.append(helper.make_value_info("odd", kind))
    with pytest.raises(ModelError, match=rf"input 'odd' is a {named}"):
        prepare(save(model))


def test_an_output_whose_size_depends_on_values_is_refused(save: Save) -> None:
    model = model_of(
        [helper.make_node("NonZero", ["x"], ["y"])],
        [tensor("x", [2, 3])],
        [tensor("y", [2, None], TensorProto.INT64)],
    )
    with pytest.raises(ModelError, match=r"NonZero \(node that makes 'y'\) gives its output a size"):
        prepare(save(model))


def test_a_model_that_onnxruntime_cant_run_says_so(save: Save) -> None:
    model = model_of(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [tensor("x", ["n", 4])],
        [tensor("y", [3, 4])],
        [constant("shape", 3, 4)],
    )
    with pytest.raises(
        ModelError, match=r"the model as given doesn't work with these input shapes: onnxruntime can't"
    ):
        prepare(save(model), {"x": (2, 4)})


def test_a_dropout_in_training_mode_is_not_quietly_dropped(save: Save) -> None:
    model = model_of(
        [helper.make_node("Dropout", ["x", "ratio", "training"], ["y"])],
        [tensor("x", [64])],
        [tensor("y", [64])],
        [
            helper.make_tensor("ratio", TensorProto.FLOAT, [], [0.5]),
            helper.make_tensor("training", TensorProto.BOOL, [], [True]),
        ],
    )
    with pytest.raises(ModelError, match=r"Dropout .* in training mode"):
        prepare(save(model))


def test_a_type_that_there_is_none_of_is_shown_as_its_number(save: Save) -> None:
    model = dense_model(2)
    model.graph.output[0].type.tensor_type.elem_type = 99
    with pytest.raises(ModelError, match=r"'y' is a tensor of an unknown type, 99|not a valid ONNX model"):
        prepare(save(model))


def test_an_attribute_that_is_one_of_a_function_is_refused_outside_of_it(save: Save) -> None:
    model = model_of(
        [helper.make_node("LeakyRelu", ["x"], ["y"], name="leaky", alpha=0.1)],
        [tensor("x", [3])],
        [tensor("y", [3])],
    )
    model.graph.node[0].attribute[0].ref_attr_name = "slope"
    with pytest.raises(
        ModelError, match=r"attribute 'alpha' of LeakyRelu .* 'slope' of a function|not a valid"
    ):
        prepare(save(model))


def test_functions_that_call_each_other_with_too_much_are_refused(save: Save) -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    function = helper.make_function(
        "own", "Double", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], opsets
    )
    model = model_of(
        [helper.make_node("Double", ["x", "x"], ["y"], domain="own")],
        [tensor("x", [3])],
        [tensor("y", [3])],
        domains=["own"],
        functions=[function],
    )
    with pytest.raises(ModelError, match=r"can't be inlined: .* number of formal parameters"):
        prepare(save(model))


@pytest.mark.parametrize(
    ("places", "dims", "told"),
    [([0, 99], [4], "is not valid"), ([0, 3], [2**40], "1,099,511,627,776 entries, too many")],
)
def test_a_sparse_constant_that_can_not_be_written_out_is_named(
    save: Save, places: list[int], dims: list[int], told: str
) -> None:
    model = dense_model(2)
    values = helper.make_tensor("few", TensorProto.FLOAT, [2], [1.0, 2.0])
    indices = helper.make_tensor("places", TensorProto.INT64, [2], places)
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, dims))
    with pytest.raises(ModelError, match=rf"sparse constant 'few' .*{told}"):
        prepare(save(model))


def test_an_attribute_of_another_type_is_named_before_anything_reads_it(save: Save) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="first", pads=1)
    model = model_of(
        [node], [tensor("x", [1, 1, 4, 4])], [tensor("y", [1, 1, 4, 4])], [weight("w", 1, 1, 3, 3)]
    )
    with pytest.raises(ModelError, match=r"'pads' of Conv \(node 'first'\) is int; the operator takes ints"):
        prepare(save(model))


def test_an_attribute_of_a_function_outside_of_one_is_named(save: Save) -> None:
    node = helper.make_node("Softmax", ["x"], ["y"], name="last", axis=1)
    node.attribute[0].ref_attr_name = "along"
    model = model_of([node], [tensor("x", [2, 4])], [tensor("y", [2, 4])])
    with pytest.raises(ModelError, match=r"'axis' of Softmax \(node 'last'\) is 'along' of a function"):
        prepare(save(model))


def test_a_version_beyond_any_number_is_refused_in_words(save: Save) -> None:
    model = dense_model()
    model.opset_import[0].version = 2**40
    with pytest.raises(ModelError, match="version 1099511627776"):
        prepare(save(model), {"x": (2, 8)})


def test_the_standard_domain_is_known_by_both_of_its_names(save: Save) -> None:
    model = dense_model()
    for node in model.graph.node:
        node.domain = "ai.onnx"
    model.opset_import[0].domain = "ai.onnx"
    assert prepare(save(model), {"x": (2, 8)}).outputs


def looping(trips: int | None, condition: str = "c2 = Identity (c)") -> onnx.ModelProto:
    """A loop that doubles a number, as often as is said or as an input says."""
    count = "int64 n, " if trips is None else ""
    body = f"(int64 i, bool c, float v) => (bool c2, float v2) {{ v2 = Add (v, v) {condition} }}"
    steps = "" if trips is None else f"n = Constant <value = int64 {{{trips}}}> ()"
    return onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> g ({count}float[2] x) => (float last) {{
            {steps}
            on = Constant <value = bool {{1}}> ()
            first = Constant <value = float {{1}}> ()
            last = Loop (n, on, first) <body = b {body}>
        }}"""
    )


def test_a_loop_that_nothing_ends_is_refused_with_its_count_before_it_runs(save: Save) -> None:
    with pytest.raises(
        ModelError, match=r"Loop \(node that makes 'last'\) goes round 1,099,511,627,776 times"
    ):
        prepare(save(looping(2**40)))


def test_a_loop_that_its_condition_ends_is_no_endless_one(save: Save) -> None:
    ended = "limit = Constant <value = int64 {3}> () c2 = Less (i, limit)"
    prepared = prepare(save(looping(2**40, ended)))
    assert [spec.name for spec in prepared.outputs] == ["last"]


def test_a_loop_that_does_not_end_in_time_is_given_up_and_named(
    save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_verify, "_LOOP_SECONDS", 0.3)
    model = looping(2**40, "most = Constant <value = float {-1}> () c2 = Greater (v, most)")
    with pytest.raises(ModelError, match=r"Loop \(node that makes 'last'\) did not end within 0 s"):
        prepare(save(model))


def test_what_cannot_be_cut_is_refused_by_an_error_that_crosses_processes(save: Save) -> None:
    model = looping(None)
    with pytest.raises(ModelError) as caught:
        prepare(save(model))
    assert type(caught.value) is ModelError
