"""TensorFlow's folders, graphs and TFLite files, saved by TensorFlow and converted."""

from __future__ import annotations

import onnx
import pytest

from orchestrator.errors import ModelError, UsageError
from tests.frameworks.conftest import Convert, Make


def _shapes(path: object) -> dict[str, list[int | str]]:
    graph = onnx.load(path).graph
    return {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }


def test_a_saved_model_s_usual_signature_gives_the_names(make: Make, converted: Convert) -> None:
    model = make("tensorflow", "two_signatures")
    found = converted(model)
    shapes = _shapes(found.path)
    assert shapes["pixels"] == [0, 8, 8, 3]
    assert set(shapes) == {"pixels", "hidden", "scores"}
    assert found.kept.max_rel is not None
    assert found.kept.max_rel < 1e-3
    assert (
        "of the signatures, serving_default was taken; --signature takes another: embed" in found.kept.notes
    )
    other = _shapes(converted(model, signature="embed").path)
    assert other == {"sound": [0, "sound_1", 3], "embedding": [0, 3]}
    with pytest.raises(ModelError, match="there is no signature 'gone'; there are: embed, serving_default"):
        converted(model, signature="gone")


def test_a_saved_model_of_version_1_is_one_too(make: Make, converted: Convert) -> None:
    found = converted(make("tensorflow", "saved_by_version_1"))
    assert _shapes(found.path) == {"image": [0, 8, 8, 3], "scores": [0, 4]}
    assert found.kept.max_rel is not None
    assert found.kept.max_rel < 1e-3


def test_variables_of_version_1_of_both_kinds_come_along_and_names_stay(
    make: Make, converted: Convert
) -> None:
    found = converted(make("tensorflow", "mixed_by_version_1"))
    assert set(_shapes(found.path)) == {"z", "a", "b", "scores", "hidden"}
    assert found.kept.max_rel is not None
    assert found.kept.max_rel < 1e-3


def test_without_a_usual_signature_the_others_are_named(make: Make, converted: Convert) -> None:
    with pytest.raises(ModelError, match=r"the signatures hear, look, .*--signature hear"):
        converted(make("tensorflow", "named_signatures"))
    assert "scores" in _shapes(converted(make("tensorflow", "named_signatures"), signature="look").path)


def test_a_saved_model_without_a_signature_says_how_to_give_it_one(make: Make, converted: Convert) -> None:
    with pytest.raises(ModelError, match=r"no signature.*signatures=model\.f\.get_concrete_function"):
        converted(make("tensorflow", "no_signature"))


def test_text_is_refused_by_the_input_s_name(make: Make, converted: Convert) -> None:
    with pytest.raises(ModelError, match="input 'words' is text"):
        converted(make("tensorflow", "texts"))


def test_a_model_that_writes_files_takes_trust_and_writes_none_where_it_is_refused(
    make: Make, converted: Convert
) -> None:
    model = make("tensorflow", "writes_files")
    with pytest.raises(UsageError, match=r"reads and writes files of this machine.*--trust"):
        converted(model)
    with pytest.raises(ModelError, match="WriteFile"):
        converted(model, trust=True)
    assert not model.with_name("written").exists()


def test_a_folder_that_lacks_its_weights_says_so(make: Make, converted: Convert) -> None:
    model = make("tensorflow", "two_signatures")
    (model / "variables" / "variables.index").unlink()
    with pytest.raises(ModelError, match=r"incomplete.*variables/ included") as caught:
        converted(model)
    assert "variables/variables.index is missing" in str(caught.value)


def test_a_folder_of_version_1_that_lacks_a_part_of_its_weights_names_it(
    make: Make, converted: Convert
) -> None:
    model = make("tensorflow", "saved_by_version_1")
    (model / "variables" / "variables.data-00000-of-00001").unlink()
    with pytest.raises(ModelError, match=r"variables/variables\.data-00000-of-00001 is missing"):
        converted(model)


def test_a_frozen_graph_s_ends_are_found_and_its_switch_is_off(make: Make, converted: Convert) -> None:
    found = converted(make("tensorflow", "frozen"))
    assert _shapes(found.path) == {"input": [0, 8, 8, 3], "softmax": [0, 4], "best": [0]}
    assert "is_training, a switch between training and inference, is fixed to False" in found.kept.notes
    assert "keep_prob, what dropout keeps, is fixed to 1, as at inference" in found.kept.notes
    assert "inputs are the graph's placeholders: input; outputs its leaves: softmax, best" in found.kept.notes


def test_a_graph_that_decodes_files_is_entered_behind_that(make: Make, converted: Convert) -> None:
    model = make("tensorflow", "decoding")
    found = converted(model, shapes={"DecodeJpeg": (40, 30, 3)})
    assert _shapes(found.path) == {"DecodeJpeg": [40, 30, 3], "softmax": [1, 4]}
    assert any("takes pixels, uint8, and no file" in note for note in found.kept.notes)


def test_a_graph_that_says_nothing_of_its_shape_asks_for_it(make: Make, converted: Convert) -> None:
    model = make("tensorflow", "shapeless")
    with pytest.raises(ModelError, match=r"its input 'input' has.*--input-shape input:1,224,224,3"):
        converted(model)
    assert _shapes(converted(model, shapes={"input": (1, 9, 9, 3)}).path)["relu"] == [1, 9, 9, 4]


def test_a_graph_without_its_weights_says_so(make: Make, converted: Convert) -> None:
    with pytest.raises(ModelError, match="a graph without its weights: 1 variables, first 'kernel'"):
        converted(make("tensorflow", "unfrozen"))


def test_an_operator_without_a_form_is_named_with_its_node(make: Make, converted: Convert) -> None:
    with pytest.raises(ModelError, match=r"has no ONNX form of Svd \(node 'spectrum/inner/Svd'\)"):
        converted(make("tensorflow", "without_form"))


def test_a_damaged_graph_is_refused(make: Make, converted: Convert) -> None:
    model = make("tensorflow", "frozen")
    model.write_bytes(model.read_bytes()[:600])
    with pytest.raises(ModelError, match="damaged graph"):
        converted(model)


@pytest.mark.parametrize("function", ["tflite", "tflite_quantized"])
def test_tflite_files_are_converted_under_their_names(make: Make, converted: Convert, function: str) -> None:
    found = converted(make("tensorflow", function))
    assert found.kept.checked
    shapes = _shapes(found.path)
    assert next(iter(shapes)).endswith("pixels")
    assert next(iter(shapes.values()))[1:] == [8, 8, 3]


def test_a_checkpoint_is_weights_without_a_model(make: Make, converted: Convert) -> None:
    with pytest.raises(ModelError, match="is a checkpoint, weights without the model"):
        converted(make("tensorflow", "checkpoint"))
