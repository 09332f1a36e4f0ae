"""Classical models, fitted to a few random rows: scikit-learn, LightGBM, XGBoost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.coverage.entry import Entry

__all__ = ["ENTRIES"]

# Module and class in scikit-learn, opset, arguments, what it learns.
_MODELS: tuple[tuple[str, str, int, dict[str, Any], str], ...] = (
    ("linear_model", "LinearRegression", 9, {}, "number"),
    ("linear_model", "Ridge", 12, {}, "number"),
    ("linear_model", "LogisticRegression", 13, {}, "class"),
    ("linear_model", "SGDClassifier", 15, {"loss": "log_loss"}, "class"),
    ("svm", "LinearSVC", 11, {}, "class"),
    ("svm", "SVC", 14, {"probability": False}, "class"),
    ("svm", "SVR", 17, {}, "number"),
    ("tree", "DecisionTreeClassifier", 12, {"max_depth": 4}, "class"),
    ("tree", "DecisionTreeRegressor", 17, {"max_depth": 4}, "number"),
    ("ensemble", "RandomForestClassifier", 13, {"n_estimators": 8, "max_depth": 4}, "class"),
    ("ensemble", "RandomForestRegressor", 18, {"n_estimators": 8, "max_depth": 4}, "number"),
    ("ensemble", "ExtraTreesClassifier", 16, {"n_estimators": 8, "max_depth": 4}, "class"),
    ("ensemble", "GradientBoostingClassifier", 15, {"n_estimators": 8}, "class"),
    ("ensemble", "HistGradientBoostingRegressor", 17, {"max_iter": 8}, "number"),
    ("neighbors", "KNeighborsClassifier", 14, {"n_neighbors": 3}, "class"),
    ("neural_network", "MLPClassifier", 10, {"hidden_layer_sizes": (16,), "max_iter": 20}, "class"),
    ("naive_bayes", "GaussianNB", 12, {}, "class"),
    ("cluster", "KMeans", 13, {"n_clusters": 3}, "number"),
    ("decomposition", "PCA", 11, {"n_components": 4}, "number"),
    ("preprocessing", "StandardScaler", 9, {}, "number"),
    ("preprocessing", "Normalizer", 13, {}, "number"),
)
# Name of a function of benchmarks.coverage.networks.classical, and opset.
_OTHERS = (
    ("pipeline", 15),
    ("probabilities_by_name", 13),
    ("lightgbm_classifier", 14),
    ("lightgbm_regressor", 12),
    ("xgboost_classifier", 15),
    ("xgboost_regressor", 13),
)


def _sklearn(module: str, name: str, opset: int, more: dict[str, Any], what: str) -> Entry:
    def write(path: Path) -> None:
        from benchmarks.coverage.networks import classical

        classical.write(path, module, name, more, what, opset)

    return Entry(f"sklearn-{name.lower()}", "classical", write, "skl2onnx", opset)


def _other(name: str, opset: int) -> Entry:
    def write(path: Path) -> None:
        from benchmarks.coverage.networks import classical

        getattr(classical, name)(path, opset)

    tool = "onnxmltools" if "boost" in name or "lightgbm" in name else "skl2onnx"
    return Entry(f"classical-{name}", "classical", write, tool, opset)


ENTRIES = [*(_sklearn(*row) for row in _MODELS), *(_other(*row) for row in _OTHERS)]
