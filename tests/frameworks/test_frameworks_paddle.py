"""Paddle's inference models, saved by Paddle and converted."""

from __future__ import annotations

import onnx
import pytest

from orchestrator.errors import ModelError
from tests.frameworks.conftest import Convert, Make


@pytest.mark.parametrize("function", ["images", "images_of_paddle_2"])
def test_programs_of_both_versions_keep_their_input_s_name_and_open_batch(
    make: Make, converted: Convert, function: str
) -> None:
    folder = make("paddle", function)
    found = converted(folder)
    assert found.kept.max_rel is not None
    assert found.kept.max_rel < 1e-3
    (value,) = onnx.load(found.path).graph.input
    assert value.name == "image"
    assert [size.dim_value for size in value.type.tensor_type.shape.dim] == [0, 3, 16, 16]
    # Either of the two files stands for both.
    assert converted(folder / "inference.pdiparams").kept.model.endswith(".onnx")


def test_a_shape_that_is_given_is_fixed(make: Make, converted: Convert) -> None:
    found = converted(make("paddle", "images"), shapes={"image": (1, 3, 16, 16)})
    (value,) = onnx.load(found.path).graph.input
    assert [size.dim_value for size in value.type.tensor_type.shape.dim] == [1, 3, 16, 16]


def test_indices_are_drawn_where_the_table_has_them(make: Make, converted: Convert) -> None:
    found = converted(make("paddle", "words"))
    assert [value.name for value in onnx.load(found.path).graph.input] == ["words", "scale"]
    assert len(found.kept.outputs) == 2


def test_an_operator_without_a_form_is_named_though_paddle2onnx_dies_of_it(
    make: Make, converted: Convert
) -> None:
    with pytest.raises(ModelError, match=r"no ONNX form of one of its operators, .*of which: svd"):
        converted(make("paddle", "without_form"))


def test_weights_alone_are_no_model(make: Make, converted: Convert) -> None:
    with pytest.raises(ModelError, match="holds weights without a model"):
        converted(make("paddle", "weights"))
    folder = make("paddle", "images")
    (folder / "inference.json").unlink()
    with pytest.raises(ModelError, match="holds weights without a model"):
        converted(folder)
