"""An estimator as ONNX, through skl2onnx, with onnxmltools' converters for the boosters."""

from __future__ import annotations

import copy
import importlib
import importlib.metadata
import re
from typing import Any

from workers.converters.contract import FAILED, NO_ONNX_FORM, Candidate, ConversionError
from workers.converters.sklearn.inside.width import INPUT

__all__ = ["INPUT", "export", "exporter", "framework"]

# What skl2onnx is tested with up to 22; its newer operators gain estimators nothing.
_OPSET = 18
# Trees as one operator, which every runtime has; 5 is TreeEnsemble, which onnxruntime alone reads.
_ML_OPSET = 3
# Objectives of XGBoost's regressors which onnxmltools takes for plain sums of leaves, and which aren't.
_LINKS = ("reg:logistic", "survival:aft", "survival:cox")
# onnxmltools' own limit.
_TOOLS_OPSET = 15
# Both raise whatever comes to hand where a setting of an estimator has no form, in such words.
_NO_FORM = re.compile(
    r"not (?:yet )?(?:supported|implemented)|n[o']t support|unable to|only .* supported|unexpected|unknown",
    re.IGNORECASE,
)
_ASIDE = re.compile(r"\s*(?:It usually means|You may raise an issue).*")


def export(estimator: Any, rows: int | None, width: int, opset: int | None) -> Any:
    """Return an estimator's ONNX model: one input of float32, classifiers' probabilities as a tensor.

    Raises
    ------
    ConversionError
        `NO_ONNX_FORM`: a part of it has no converter.
    """
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

    _refuse_boosters(estimator)
    try:
        if _is_booster(estimator):
            return _booster(estimator, rows, width, opset)
        return _once(_estimator(estimator, rows, width, opset))
    except ConversionError:
        raise
    except Exception as error:
        tools = exporter(estimator, "").exporter
        words = _ASIDE.sub("", " ".join(str(error).split()))[:400]
        missing = isinstance(error, (MissingConverter, MissingShapeCalculator, NotImplementedError))
        if not missing and not _NO_FORM.search(words):
            raise ConversionError(FAILED, f"{tools} failed: {type(error).__name__}: {words}") from error
        raise ConversionError(
            NO_ONNX_FORM,
            f"{tools} has no form of {_named_in(words, estimator)}: {words or 'not implemented'}",
            "replace that step by one that is supported, or keep it in Python and convert the rest",
        ) from error


def _named_in(words: str, estimator: Any) -> str:
    """Return the part of an estimator that an error is about."""
    for place, part in _all(estimator):
        if part is not estimator and type(part).__name__ in words:
            return f"{place}{type(part).__name__}"
    return f"a part of {type(estimator).__name__}"


def _estimator(estimator: Any, rows: int | None, width: int, opset: int | None) -> Any:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.base import is_classifier

    _register()
    estimator = _by_position(estimator)
    more: dict[str, Any] = {}
    if is_classifier(estimator):
        more["options"] = {id(estimator): {"zipmap": False}}
    arguments: dict[str, Any] = {
        "initial_types": [(INPUT, FloatTensorType([rows, width]))],
        "target_opset": {"": opset or _OPSET, "ai.onnx.ml": _ML_OPSET},
    }
    try:
        return convert_sklearn(estimator, **arguments, **more)
    except NameError:
        # A classifier without probabilities has no such option.
        return convert_sklearn(estimator, **arguments)


def _once(model: Any) -> Any:
    """Name each domain's opset once; skl2onnx writes one for each part."""
    opsets = {one.domain: one.version for one in model.opset_import}
    del model.opset_import[:]
    for domain, version in opsets.items():
        model.opset_import.add(domain=domain, version=version)
    return model


def _booster(booster: Any, rows: int | None, width: int, opset: int | None) -> Any:
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    made = convert_lightgbm(
        booster,
        initial_types=[(INPUT, FloatTensorType([rows, width]))],
        target_opset=min(opset or _TOOLS_OPSET, _TOOLS_OPSET),
        zipmap=False,
    )
    for value in made.graph.output:
        # A label is declared to be of one row, whatever the rows are.
        size = value.type.tensor_type.shape.dim[0]
        size.Clear()
        if rows is not None:
            size.dim_value = rows
    return made


def _register() -> None:
    """Teach skl2onnx the boosters' estimators, so that they may be parts of others."""
    from lightgbm import LGBMClassifier, LGBMRegressor
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )
    from xgboost import XGBClassifier, XGBRegressor, XGBRFClassifier, XGBRFRegressor

    classes = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    for kind, convert, options in (
        (LGBMClassifier, convert_lightgbm, classes),
        (LGBMRegressor, convert_lightgbm, {"split": None}),
        (XGBClassifier, convert_xgboost, classes),
        (XGBRFClassifier, convert_xgboost, classes),
        (XGBRegressor, convert_xgboost, {}),
        (XGBRFRegressor, convert_xgboost, {}),
    ):
        shapes = (
            calculate_linear_classifier_output_shapes
            if options is classes
            else calculate_linear_regressor_output_shapes
        )
        update_registered_converter(kind, kind.__name__, shapes, convert, options=options, overwrite=True)


def _by_position(estimator: Any) -> Any:
    """Have column transformers choose by position: by name, skl2onnx would make an input of each column."""
    made = copy.deepcopy(estimator)
    for _, part in _all(made):
        if hasattr(part, "flatten_transform"):
            # Of its transform, which isn't what is exported; skl2onnx refuses the usual True.
            part.flatten_transform = False
    for part in _column_transformers(made):
        names = list(getattr(part, "feature_names_in_", ()))
        part.transformers_ = [
            (name, step, [names.index(column) for column in columns] if _names(columns) else columns)
            for name, step, columns in part.transformers_
        ]
    return made


def _names(columns: Any) -> bool:
    return isinstance(columns, list) and bool(columns) and all(isinstance(one, str) for one in columns)


def _column_transformers(estimator: Any) -> Any:
    from sklearn.compose import ColumnTransformer

    if isinstance(estimator, ColumnTransformer):
        yield estimator
    for attribute in ("steps", "transformers_", "transformer_list", "estimators"):
        for entry in getattr(estimator, attribute, None) or ():
            if isinstance(entry, tuple) and len(entry) >= 2:
                yield from _column_transformers(entry[1])


def _refuse_boosters(estimator: Any) -> None:
    """Refuse what onnxmltools would write without a word, and wrong."""
    import json

    from xgboost import XGBModel

    if not isinstance(estimator, XGBModel):
        return
    learner = json.loads(estimator.get_booster().save_config())["learner"]
    kind = learner["gradient_booster"].get("name", "gbtree")
    objective = learner["objective"]["name"]
    if objective in _LINKS and not hasattr(estimator, "predict_proba"):
        raise ConversionError(
            NO_ONNX_FORM,
            f"the objective {objective!r} of an XGBoost regressor has no form in onnxmltools, which would "
            "leave out what turns sums of leaves into predictions",
            "a classifier with the objective 'binary:logistic' is converted",
        )
    if kind != "gbtree":
        raise ConversionError(
            NO_ONNX_FORM,
            f"XGBoost's booster {kind!r} has no form in onnxmltools, which knows 'gbtree' alone",
            "train with booster='gbtree'",
        )


def exporter(estimator: Any, file: str) -> Candidate:
    """Name what makes the model, with versions."""
    tools = [] if _is_booster(estimator) else ["skl2onnx"]
    tools += ["onnxmltools"] * bool(_boosters(estimator))
    return Candidate(file, ", ".join(f"{tool} {importlib.metadata.version(tool)}" for tool in tools))


def framework(estimator: Any) -> str:
    """Name the libraries that an estimator is of, with versions."""
    import sklearn

    used = [] if _is_booster(estimator) else [f"scikit-learn {sklearn.__version__}"]
    used += [f"{title} {importlib.import_module(name).__version__}" for name, title in _boosters(estimator)]
    return ", ".join(used)


def _is_booster(estimator: Any) -> bool:
    import lightgbm

    return isinstance(estimator, lightgbm.Booster)


def _boosters(estimator: Any) -> list[tuple[str, str]]:
    titles = {"lightgbm": "LightGBM", "xgboost": "XGBoost"}
    modules = {type(part).__module__.split(".")[0] for _, part in _all(estimator)}
    return [(name, title) for name, title in titles.items() if name in modules]


def _all(estimator: Any) -> Any:
    from workers.converters.sklearn.inside.text import parts

    return parts(estimator)
