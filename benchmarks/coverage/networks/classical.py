"""Classical models, fitted and written."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx

__all__ = [
    "lightgbm_classifier",
    "lightgbm_regressor",
    "pipeline",
    "probabilities_by_name",
    "write",
    "xgboost_classifier",
    "xgboost_regressor",
]

_FEATURES = 8


def _data(what: str) -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    rows = generator.uniform(-1, 1, (200, _FEATURES)).astype(np.float32)
    score = rows @ np.arange(_FEATURES, dtype=np.float32) + rows[:, 0] * rows[:, 1]
    return rows, score if what == "number" else np.digitize(score, (-3, 3))


def _converted(path: Path, fitted: Any, opset: int, **options: Any) -> None:
    from skl2onnx import to_onnx

    given = {id(fitted): options} if options else None
    made = to_onnx(
        fitted, np.zeros((1, _FEATURES), np.float32), target_opset={"": opset, "ai.onnx.ml": 3}, options=given
    )
    onnx.save(_one_row(made), path)


def _one_row(model: Any) -> Any:
    """Fix the batch: what leaves it open is tried elsewhere."""
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 4
    return model


def write(path: Path, module: str, name: str, arguments: Any, what: str, opset: int) -> None:
    """Fit and write one of scikit-learn's; classifiers with their probabilities as a tensor."""
    rows, targets = _data(what)
    fitted = getattr(importlib.import_module(f"sklearn.{module}"), name)(**arguments).fit(rows, targets)
    # What gives no probabilities has none to put into maps.
    options = {"zipmap": False} if hasattr(fitted, "predict_proba") else {}
    _converted(path, fitted, opset, **options)


def pipeline(path: Path, opset: int) -> None:
    """Scale, project, classify."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures

    rows, targets = _data("class")
    made = make_pipeline(MinMaxScaler(), PolynomialFeatures(2), PCA(8), LogisticRegression(max_iter=200))
    _converted(path, made.fit(rows, targets), opset, zipmap=False)


def probabilities_by_name(path: Path, opset: int) -> None:
    """A classifier as it is converted by default: a map from classes to probabilities."""
    from sklearn.linear_model import LogisticRegression

    rows, targets = _data("class")
    _converted(path, LogisticRegression().fit(rows, targets), opset)


def _tools(path: Path, convert: str, fitted: Any, opset: int, **more: Any) -> None:
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    types = [("x", FloatTensorType([4, _FEATURES]))]
    made = getattr(onnxmltools, convert)(fitted, initial_types=types, target_opset=opset, **more)
    onnx.save(_one_row(made), path)


def lightgbm_classifier(path: Path, opset: int) -> None:
    """Three classes."""
    from lightgbm import LGBMClassifier

    rows, targets = _data("class")
    fitted = LGBMClassifier(n_estimators=8, verbose=-1).fit(rows, targets)
    _tools(path, "convert_lightgbm", fitted, opset, zipmap=False)


def lightgbm_regressor(path: Path, opset: int) -> None:
    """One number."""
    from lightgbm import LGBMRegressor

    rows, targets = _data("number")
    _tools(path, "convert_lightgbm", LGBMRegressor(n_estimators=8, verbose=-1).fit(rows, targets), opset)


def xgboost_classifier(path: Path, opset: int) -> None:
    """Three classes."""
    from xgboost import XGBClassifier

    rows, targets = _data("class")
    _tools(path, "convert_xgboost", XGBClassifier(n_estimators=8, max_depth=4).fit(rows, targets), opset)


def xgboost_regressor(path: Path, opset: int) -> None:
    """One number."""
    from xgboost import XGBRegressor

    rows, targets = _data("number")
    _tools(path, "convert_xgboost", XGBRegressor(n_estimators=8, max_depth=4).fit(rows, targets), opset)
