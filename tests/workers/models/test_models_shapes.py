"""Input shapes: declared, asked for, fixed."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import pytest
from onnx import helper

from tests.kit.model_builders import Save, dense_model, model_of, tensor, weight
from workers.errors import ModelError, UsageError
from workers.models import input_specs, parse_input_shape, prepare

Dims = Sequence[int | str | None]


def two_inputs(first: Dims = ("batch", 3, "h", "w"), second: Dims = ("batch", "n")) -> onnx.ModelProto:
    return model_of(
        [
            helper.make_node("Relu", ["image"], ["a"]),
            helper.make_node("Relu", ["extra"], ["b"]),
        ],
        [tensor("image", first), tensor("extra", second)],
        [tensor("a", first), tensor("b", second)],
    )


def dims_of(data: bytes) -> list[tuple[int, ...]]:
    return [
        tuple(d.dim_value for d in i.type.tensor_type.shape.dim)
        for i in onnx.load_from_string(data).graph.input
    ]


def test_input_specs_tell_what_the_file_declares(save: Save) -> None:
    path = save(two_inputs(second=("batch", None)))
    assert input_specs(path) == [
        ("image", ("batch", 3, "h", "w"), "float32", True),
        ("extra", ("batch", None), "float32", True),
    ]


def test_open_sizes_are_not_guessed_but_all_named_with_flags_to_paste(save: Save) -> None:
    with pytest.raises(ModelError) as caught:
        prepare(save(two_inputs()))
    text = str(caught.value)
    assert "input 'image' is [batch, 3, h, w]" in text
    assert "input 'extra' is [batch, n]" in text
    assert "--input-shape 'image:1,3,224,224' --input-shape 'extra:1,128'" in text


def test_the_flags_of_that_message_are_accepted(save: Save) -> None:
    shapes = dict(parse_input_shape(flag) for flag in ("image:1,3,224,224", "extra:1,128"))
    prepared = prepare(save(two_inputs()), shapes)
    assert [spec.shape for spec in prepared.inputs] == [(1, 3, 224, 224), (1, 128)]


def test_shapes_are_fixed_in_the_model_and_reported(save: Save) -> None:
    prepared = prepare(save(dense_model()), {"x": (5, 8)})
    assert dims_of(prepared.onnx) == [(5, 8)]
    assert [(spec.name, spec.shape, spec.dtype) for spec in prepared.outputs] == [("y", (5, 4), "float32")]
    assert "fixed input 'x', declared [batch, 8], to 5x8" in prepared.changes


def test_a_named_size_given_for_one_input_holds_for_the_others(save: Save) -> None:
    model = two_inputs(first=("batch", 3), second=("batch", 7))
    assert dims_of(prepare(save(model), {"image": (4, 3)}).onnx) == [(4, 3), (4, 7)]


def test_one_name_with_two_sizes_is_refused(save: Save) -> None:
    with pytest.raises(
        UsageError, match=r"dimension 'batch' .* two sizes: 1 in input 'image' and 2 in input 'extra'"
    ):
        prepare(save(two_inputs()), {"image": (1, 3, 4, 4), "extra": (2, 5)})


def test_a_question_mark_is_no_name(save: Save) -> None:
    model = two_inputs(first=("?", 3, "?", "?"), second=(1, 2))
    assert dims_of(prepare(save(model), {"image": (1, 3, 4, 6)}).onnx)[0] == (1, 3, 4, 6)


@pytest.mark.parametrize("size", [-1, 0])
def test_a_size_below_one_in_the_file_counts_as_open(save: Save, size: int) -> None:
    model = two_inputs(first=(1, 3), second=(1, 7))
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = size
    with pytest.raises(ModelError, match=r"input 'image' is \[1, \?\]"):
        prepare(save(model))


@pytest.mark.parametrize("batch", ["batch_size", "N", "unk__7", None])
def test_where_only_the_batch_is_open_it_is_one_and_said(save: Save, batch: int) -> None:
    prepared = prepare(save(dense_model(batch)))
    assert dims_of(prepared.onnx) == [(1, 8)]
    declared = "?" if batch is None else batch
    assert f"fixed input 'x', declared [{declared}, 8], to 1x8" in prepared.changes


def test_an_open_length_is_asked_for_though_it_stands_first(save: Save) -> None:
    with pytest.raises(ModelError, match="leaves sizes open"):
        prepare(save(dense_model("length")))


def test_an_input_without_a_shape_is_asked_for(save: Save) -> None:
    model = dense_model()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelError, match=r"input 'x' is without a shape; say which, .*--input-shape 'x:"):
        prepare(save(model))
    assert dims_of(prepare(save(model), {"x": (3, 8)}).onnx) == [(3, 8)]


def test_a_wrong_name_lists_the_real_ones(save: Save) -> None:
    with pytest.raises(UsageError, match=r"no input 'X'; its inputs are 'x' \[batch, 8\]"):
        prepare(save(dense_model()), {"X": (1, 8)})


def test_a_wrong_rank_says_what_is_declared(save: Save) -> None:
    with pytest.raises(UsageError, match=r"input 'x' of .* has 2 dimensions, \[batch, 8\], and not 3"):
        prepare(save(dense_model()), {"x": (1, 1, 8)})


@pytest.mark.parametrize("size", [0, -3])
def test_sizes_below_one_are_refused(save: Save, size: int) -> None:
    with pytest.raises(UsageError, match=r"at least 1"):
        prepare(save(dense_model()), {"x": (size, 8)})


def test_a_fixed_size_that_the_model_depends_on_cant_be_changed(save: Save) -> None:
    with pytest.raises(ModelError, match=r"--input-shape changed input 'x' from \[batch, 8\] to 2x9"):
        prepare(save(dense_model()), {"x": (2, 9)})


def test_a_fixed_size_that_was_only_traced_can_be_changed(save: Save) -> None:
    model = model_of(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        [tensor("x", [10, 3, 32, 32])],
        [tensor("y", [10, 4, 30, 30])],
        [weight("w", 4, 3, 3, 3)],
    )
    prepared = prepare(save(model), {"x": (1, 3, 16, 16)})
    assert prepared.outputs[0].shape == (1, 4, 14, 14)
    assert "fixed input 'x', declared [10, 3, 32, 32], to 1x3x16x16" in prepared.changes


def test_initializers_listed_as_inputs_are_no_inputs(save: Save) -> None:
    model = dense_model(2)
    model.ir_version = 3
    model.opset_import[0].version = 9
    model.graph.input.extend([tensor("w", [8, 4]), tensor("b", [4])])
    path = save(model)
    assert [one.name for one in input_specs(path)] == ["x"]
    assert [spec.name for spec in prepare(path).inputs] == ["x"]


def test_the_flag_takes_names_with_colons() -> None:
    assert parse_input_shape("input:0:1,3,224,224") == ("input:0", (1, 3, 224, 224))


@pytest.mark.parametrize("text", ["x", "x:", ":1,2", "x:1,,2", "x:1,a", "x:1,0", "x:-1,3", "x:1x3"])
def test_a_flag_that_cant_be_read_shows_how_to_write_it(text: str) -> None:
    with pytest.raises(UsageError, match=r"NAME:SIZE,SIZE"):
        parse_input_shape(text)
