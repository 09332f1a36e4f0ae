"""Keras' models, saved by Keras and converted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from orchestrator.errors import ModelError, UsageError
from tests.frameworks.conftest import Convert, Make

#: What other releases wrote, with the script that had them write it.
FILES = Path(__file__).parent / "files"


def _shapes(path: object) -> dict[str, list[int | str]]:
    graph = onnx.load(path).graph
    return {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }


@pytest.mark.parametrize("function", ["images", "images_hdf5"])
def test_layers_give_their_names_and_the_batch_stays_open(
    make: Make, converted: Convert, function: str
) -> None:
    found = converted(make("keras", function))
    assert found.kept.max_rel is not None
    assert found.kept.max_rel < 1e-3
    assert found.kept.origin.framework.startswith("Keras 3.")
    assert found.kept.origin.exporter.startswith("tf2onnx 1.")
    assert _shapes(found.path) == {"image": ["batch", 16, 16, 3], "scores": ["batch", 3]}
    assert not [node for node in onnx.load(found.path).graph.node if node.op_type in ("Dropout", "Identity")]


@pytest.mark.parametrize("function", ["mobilenet", "efficientnet"])
def test_applications_are_compared_on_outputs_that_tell_images_apart(
    make: Make, converted: Convert, function: str
) -> None:
    found = converted(make("keras", function))
    assert found.kept.max_rel is not None
    assert found.kept.max_rel < 1e-3
    assert not any("says little" in note for note in found.kept.notes)


def test_a_gelu_is_exported(make: Make, converted: Convert) -> None:
    operators = {node.op_type for node in onnx.load(converted(make("keras", "gelu")).path).graph.node}
    assert operators & {"Erf", "Gelu"}


def test_text_is_refused_by_the_input_s_name(make: Make, converted: Convert) -> None:
    with pytest.raises(ModelError, match="input 'words' is text"):
        converted(make("keras", "words_as_text"))


def test_outputs_that_never_change_are_said_to_show_little(make: Make, converted: Convert) -> None:
    found = converted(make("keras", "untrained"))
    assert any("whatever goes in, its outputs are the same" in note for note in found.kept.notes)


def test_a_shape_that_is_given_is_fixed(make: Make, converted: Convert) -> None:
    found = converted(make("keras", "images"), shapes={"image": (1, 16, 16, 3)})
    assert _shapes(found.path) == {"image": [1, 16, 16, 3], "scores": [1, 3]}


def test_several_inputs_and_outputs_keep_names_and_order(make: Make, converted: Convert) -> None:
    assert list(_shapes(converted(make("keras", "two_inputs")).path)) == ["left", "right", "second", "first"]


def test_inputs_and_outputs_by_name_are_found(make: Make, converted: Convert) -> None:
    assert list(_shapes(converted(make("keras", "by_name")).path)) == ["alpha", "zeta", "a", "b"]


def test_a_function_s_inputs_are_called_as_a_file_s_are(make: Make, converted: Convert) -> None:
    zoo = make("keras", "without_names")
    found = converted(f"{zoo}:second", trust=True, shapes={"input_layer_1": (1, 3)})
    assert _shapes(found.path) == {"input_layer_1": [1, 3], "scores": [1, 2]}
    found = converted(f"{zoo}:by_keys", trust=True)
    assert list(_shapes(found.path)) == ["alpha", "zeta", "y"]
    assert found.kept.max_rel is not None
    assert found.kept.max_rel < 1e-3


def test_words_of_an_open_number_are_drawn_where_the_table_has_them(make: Make, converted: Convert) -> None:
    found = converted(make("keras", "text"))
    assert _shapes(found.path)["words"] == ["batch", "words_1"]
    assert found.kept.checked


def test_constants_of_a_layer_are_no_inputs(make: Make, converted: Convert) -> None:
    assert list(_shapes(converted(make("keras", "constants")).path)) == ["x", "dense"]


def test_keras_own_exporter_is_there_to_be_asked_for(make: Make, converted: Convert) -> None:
    found = converted(make("keras", "images"), exporter="keras")
    assert "Model.export" in found.kept.origin.exporter


def test_a_python_function_as_a_layer_takes_trust(make: Make, converted: Convert) -> None:
    model = make("keras", "function_layer")
    with pytest.raises(UsageError, match=r"its Lambda layers are Python code .*--trust"):
        converted(model)
    assert converted(model, trust=True).kept.checked


def test_a_layer_of_another_file_is_named_and_a_function_brings_it(
    make: Make, converted: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = make("keras", "own_layer")
    with pytest.raises(ModelError, match="a layer of the class 'Twice', whose code isn't in the file"):
        converted(zoo.with_name("model.keras"))
    monkeypatch.chdir(zoo.parent)
    found = converted(f"{zoo}:net", trust=True)
    assert found.kept.checked
    # A change of the weights is another model.
    assert {str(zoo), str(zoo.with_name("model.keras"))} <= set(found.kept.files)
    for function, words in {
        "needy": r"needy takes arguments \(width\)",
        "failing": r"failing\(\) raised KeyError: 'weights', at .*zoo.py, line 10",
        "numbers": "the function returned builtins.list, which is no keras.Model",
        "gone": "has no gone; it has ",
    }.items():
        with pytest.raises(ModelError, match=words):
            converted(f"{zoo}:{function}", trust=True)


def test_a_model_without_a_shape_asks_for_it_and_takes_it(make: Make, converted: Convert) -> None:
    model = make("keras", "shapeless")
    with pytest.raises(ModelError, match=r"without the shape of its input.*--input-shape input:1,"):
        converted(model)
    assert _shapes(converted(model, shapes={"input": (2, 5)}).path)["input"] == [2, 5]


def test_an_operator_without_a_form_is_named(make: Make, converted: Convert) -> None:
    with pytest.raises(ModelError, match=r"tf2onnx 1\.\S+ has no ONNX form of .*FFT2D \(node '.*FFT2D'\)"):
        converted(make("keras", "fourier"))


@pytest.mark.parametrize(
    ("name", "inputs"), [("keras2.h5", ["image", "scale"]), ("keras2_words.h5", ["words"])]
)
def test_files_of_keras_2_are_read(
    converter_python: Callable[[str], str], converted: Convert, name: str, inputs: list[str]
) -> None:
    converter_python("keras")
    found = converted(FILES / name)
    assert list(_shapes(found.path))[:-1] == inputs
    assert found.kept.max_rel is not None
    assert found.kept.max_rel < 1e-3


def test_its_other_format_can_t_be_read_and_says_what_can(
    converter_python: Callable[[str], str], converted: Convert
) -> None:
    converter_python("keras")
    with pytest.raises(ModelError, match=r"written by Keras 2\.15\.0, .*save an \.h5 file or a SavedModel"):
        converted(FILES / "keras2.keras")


def test_a_file_of_a_later_keras_says_so(make: Make, converted: Convert) -> None:
    with pytest.raises(ModelError, match=r"written by Keras 9\.1\.0, and Keras 3\.\S+ .* can't read it"):
        converted(make("keras", "newer"))


def test_wrong_names_of_inputs_are_answered_with_the_right_ones(make: Make, converted: Convert) -> None:
    model = make("keras", "two_inputs")
    with pytest.raises(ModelError, match="there is no input 'x' to give a shape to; inputs: left, right"):
        converted(model, shapes={"x": (1, 8)})
    with pytest.raises(ModelError, match=r"input 'left' has 2 sizes, \?x8, and was given 3: 1x2x8"):
        converted(model, shapes={"left": (1, 2, 8)})
