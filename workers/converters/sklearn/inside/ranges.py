"""Where an estimator was fitted: the values that its features had, as far as it remembers any."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

__all__ = ["Feature", "features"]

# Attributes with a middle and a spread for each feature.
_MIDDLE_AND_SPREAD = (("mean_", "scale_"), ("center_", "scale_"))
# Attributes with a row for each thing that was remembered: neighbours, support vectors, centres.
_ROWS = ("_fit_X", "support_vectors_", "cluster_centers_", "X_train_", "means_", "theta_")


@dataclass
class Feature:
    """Values of one feature: some of its own, or a middle and a spread."""

    middle: float = 0.0
    spread: float = 1.0
    choices: tuple[float, ...] = ()

    def draw(self, generator: Any, count: int) -> Any:
        """Draw values."""
        if self.choices:
            return generator.choice(self.choices, count)
        return self.middle + self.spread * generator.standard_normal(count)


def features(estimator: Any, width: int) -> list[Feature]:
    """Describe each feature; by normalized values where nothing is known."""
    found = [Feature() for _ in range(width)]
    _visit(estimator, list(range(width)), found)
    return found


def _visit(part: Any, columns: list[int], found: list[Feature]) -> None:
    import numpy as np

    if hasattr(part, "best_estimator_"):
        _visit(part.best_estimator_, columns, found)
    elif hasattr(part, "steps"):
        first = next((step for _, step in part.steps if hasattr(step, "get_params")), None)
        if first is not None:
            _visit(first, columns, found)
    elif hasattr(part, "_transformer_to_input_indices"):
        for name, step, _ in part.transformers_:
            chosen = part._transformer_to_input_indices.get(name, [])
            if hasattr(step, "get_params"):
                _visit(step, [columns[place] for place in chosen], found)
    elif hasattr(part, "transformer_list"):
        _visit(part.transformer_list[0][1], columns, found)
    elif hasattr(part, "categories_") and len(part.categories_) == len(columns):
        for column, values in zip(columns, part.categories_, strict=True):
            numbers = [float(value) for value in values if isinstance(value, (int, float, np.number))]
            found[column] = Feature(choices=tuple(value for value in numbers if np.isfinite(value)))
    elif hasattr(part, "data_min_"):
        _between(part.data_min_, part.data_max_, columns, found)
    elif any(_both(part, *names, columns, found) for names in _MIDDLE_AND_SPREAD) or any(
        _spread_of(getattr(part, name, None), columns, found) for name in _ROWS
    ):
        return
    else:
        _steps(part, columns, found)


def _both(part: Any, middle: str, spread: str, columns: list[int], found: list[Feature]) -> bool:
    values, widths = getattr(part, middle, None), getattr(part, spread, None)
    if values is None or widths is None or len(values) != len(columns):
        return False
    for column, value, width in zip(columns, values, widths, strict=True):
        found[column] = Feature(float(value), float(width) or 1.0)
    return True


def _between(least: Any, most: Any, columns: list[int], found: list[Feature]) -> None:
    for column, low, high in zip(columns, least, most, strict=True):
        found[column] = Feature((float(low) + float(high)) / 2, max((float(high) - float(low)) / 4, 1e-3))


def _spread_of(rows: Any, columns: list[int], found: list[Feature]) -> bool:
    import numpy as np

    if rows is None or not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != len(columns):
        return False
    for column, values in zip(columns, rows.T, strict=True):
        found[column] = Feature(float(values.mean()), float(values.std()) or 1.0)
    return True


def _steps(part: Any, columns: list[int], found: list[Feature]) -> None:
    """Go by the thresholds of trees: between them is where leaves differ."""
    thresholds: dict[int, list[float]] = {}
    for feature, threshold in _thresholds(part):
        thresholds.setdefault(feature, []).append(threshold)
    for feature, values in thresholds.items():
        if feature < len(columns):
            low, high = min(values), max(values)
            found[columns[feature]] = Feature((low + high) / 2, max((high - low) / 2, abs(high) / 10, 1e-3))


def _thresholds(part: Any) -> Any:
    import numpy as np

    for predictors in getattr(part, "_predictors", ()):
        for predictor in predictors:
            for node in predictor.nodes[predictor.nodes["is_leaf"] == 0]:
                yield int(node["feature_idx"]), float(node["num_threshold"])
    inner = getattr(part, "tree_", None)
    if inner is not None:
        used = inner.feature >= 0
        yield from zip(inner.feature[used].tolist(), inner.threshold[used].tolist(), strict=True)
    composed = getattr(part, "estimators_", [])
    # A forest counts its trees, so that numpy would take it for a row of them.
    for one in composed.ravel() if isinstance(composed, np.ndarray) else composed:
        yield from _thresholds(one)
    if hasattr(part, "get_booster"):
        for text in part.get_booster().get_dump(dump_format="json"):
            yield from _nodes(json.loads(text), "split", "split_condition", "children")
    booster = getattr(part, "booster_", part)
    if hasattr(booster, "dump_model") and hasattr(booster, "num_feature"):
        for tree in booster.dump_model()["tree_info"]:
            yield from _nodes(
                tree["tree_structure"], "split_feature", "threshold", "left_child", "right_child"
            )


def _nodes(node: Any, feature: str, threshold: str, *children: str) -> Any:
    if feature not in node:
        return
    place = str(node[feature]).lstrip("f")
    # Names of features, and sets of categories, are no numbers.
    if place.isdigit() and isinstance(node[threshold], (int, float)):
        yield int(place), float(node[threshold])
    for name in children:
        below = node[name]
        for child in below if isinstance(below, list) else [below]:
            yield from _nodes(child, feature, threshold, *children)
