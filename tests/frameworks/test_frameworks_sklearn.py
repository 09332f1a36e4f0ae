"""Estimators of scikit-learn, LightGBM and XGBoost, saved by these and converted."""

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


@pytest.mark.parametrize(
    "function",
    [
        "forest",
        "logistic",
        "composed",
        "histograms",
        "columns",
        "lightgbm_classes",
        "lightgbm_text",
        "xgboost_json",
    ],
)
def test_classifiers_give_labels_and_a_tensor_of_probabilities(
    make: Make, converted: Convert, function: str
) -> None:
    found = converted(make("sklearn", function), trust=True)
    shapes = _shapes(found.path)
    assert list(shapes) == ["X", "label", "probabilities"]
    assert shapes["X"] == ["batch", 6]
    assert shapes["probabilities"][-1] == 3
    assert found.kept.max_rel is not None
    assert found.kept.max_rel < 1e-4
    assert not [node for node in onnx.load(found.path).graph.node if node.op_type == "ZipMap"]


@pytest.mark.parametrize(
    "function",
    [
        "histograms_of_numbers",
        "lightgbm_numbers",
        "lightgbm_ranker",
        "xgboost_ranker",
        "xgboost_ranker_pickled",
    ],
)
def test_regressors_and_rankers_give_a_number(make: Make, converted: Convert, function: str) -> None:
    found = converted(make("sklearn", function), trust=True)
    assert list(_shapes(found.path)) == ["X", "variable"]
    assert found.kept.max_rel is not None
    assert found.kept.max_rel < 1e-4


@pytest.mark.parametrize("function", ["centres", "outliers", "xgboost_ubj"])
def test_others_are_compared_too(make: Make, converted: Convert, function: str) -> None:
    assert converted(make("sklearn", function), trust=True).kept.checked


def test_a_pickle_takes_trust(make: Make, converted: Convert) -> None:
    with pytest.raises(UsageError, match="a pickle is a program, which is run to load it; add --trust"):
        converted(make("sklearn", "forest"))


def test_a_shape_fixes_the_rows_and_must_have_the_features(make: Make, converted: Convert) -> None:
    model = make("sklearn", "xgboost_json")
    assert _shapes(converted(model, shapes={"X": (4, 6)}).path)["X"] == [4, 6]
    with pytest.raises(ModelError, match=r"was given 4x5; the estimator was fitted to 6 features"):
        converted(model, shapes={"X": (4, 5)})
    with pytest.raises(ModelError, match=r"no input 'x': all features are one input, 'X'"):
        converted(model, shapes={"x": (4, 6)})


def test_classes_that_are_text_are_named_and_left_out(make: Make, converted: Convert) -> None:
    found = converted(make("sklearn", "words_as_classes"), trust=True)
    assert list(_shapes(found.path)) == ["X", "probabilities"]
    assert any(
        "the columns of probabilities are the classes maybe, no, yes" in one for one in found.kept.notes
    )


def test_text_at_the_beginning_stays_in_python(make: Make, converted: Convert) -> None:
    found = converted(make("sklearn", "texts"), trust=True)
    assert any("pipeline[:1].transform(texts).toarray()" in one for one in found.kept.notes)
    assert _shapes(found.path)["X"] == ["batch", 6]
    with pytest.raises(ModelError, match="kinds: OneHotEncoder reads text"):
        converted(make("sklearn", "columns_of_words"), trust=True)


def test_a_pickle_of_another_version_says_so(make: Make, converted: Convert) -> None:
    found = converted(make("sklearn", "older"), trust=True)
    assert any(one.startswith("pickled by scikit-learn 1.0.2, loaded by") for one in found.kept.notes)


@pytest.mark.parametrize("name", ["logistic", "svm"])
def test_pickles_of_scikit_learn_1_2_are_converted_with_a_note(
    converter_python: Callable[[str], str], converted: Convert, name: str
) -> None:
    converter_python("sklearn")
    found = converted(FILES / f"sklearn_1_2_{name}.pkl", trust=True)
    assert any(one.startswith("pickled by scikit-learn 1.2.2, loaded by") for one in found.kept.notes)
    assert found.kept.max_rel is not None
    assert found.kept.max_rel < 1e-4


@pytest.mark.parametrize("name", ["forest", "boosted", "histograms"])
def test_pickles_of_scikit_learn_1_2_that_no_later_one_reads_say_so(
    converter_python: Callable[[str], str], converted: Convert, name: str
) -> None:
    converter_python("sklearn")
    with pytest.raises(ModelError, match=r"written with scikit-learn 1\.2\.2, and this is .*converters use"):
        converted(FILES / f"sklearn_1_2_{name}.pkl", trust=True)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("in_a_dict", "it holds a dict, no estimator; one is under 'model'"),
        ("unfitted", "RandomForestClassifier, which isn't fitted"),
        (
            "without_form",
            r"has no form of functiontransformer: FunctionTransformer: ",
        ),
        ("xgboost_linear", "booster 'gblinear' has no form"),
        ("xgboost_logistic", "objective 'reg:logistic' of an XGBoost regressor has no form"),
    ],
)
def test_what_can_t_be_converted_says_why(make: Make, converted: Convert, function: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        converted(make("sklearn", function), trust=True)
