"""LinearClassifier and LinearRegressor."""

from __future__ import annotations

from typing import Any

import numpy as np

from workers.models import _graphs
from workers.models.rewrites.classical.scores import (
    Labels,
    best,
    chosen,
    index_of,
    labels_of,
    pair,
    single,
    transformed,
)
from workers.models.rewrites.classical.table import Left, Table, floats, text

__all__ = ["RULES"]


def _classifier(node: Any, edit: Table) -> list[str]:
    intercepts, coefficients = floats(node, "intercepts"), floats(node, "coefficients")
    labels = labels_of(node, "classlabels_strings", "classlabels_ints")
    transform = text(node, "post_transform", "NONE")
    if not intercepts.size or not labels:
        raise Left("has no intercepts, which tell the number of scores, or no labels")
    rows = edit.floats(edit.rows(node.input[0]))
    weights = edit.store(coefficients.reshape(intercepts.size, -1).T.copy())
    scores = edit.emit("Gemm", [rows, weights, edit.store(intercepts)])
    if intercepts.size > 1:
        return [chosen(edit, best(edit, scores), labels), transformed(edit, scores, transform)]
    index = index_of(edit, edit.emit("Greater", [scores, edit.store(np.float32(0))]))
    two = len(labels) == 2
    numbers: Labels = ["0", "1"] if isinstance(labels[0], str) else [0, 1]
    return [
        chosen(edit, index, labels if two else numbers),
        pair(edit, scores, transform, "complement") if two else single(edit, scores, transform),
    ]


def _regressor(node: Any, edit: Table) -> list[str]:
    intercepts, coefficients = floats(node, "intercepts"), floats(node, "coefficients")
    transform = text(node, "post_transform", "NONE")
    targets = int(_graphs.attribute(node, "targets", 1))
    rows = edit.floats(edit.rows(node.input[0]))
    weights = edit.store(coefficients.reshape(targets, -1).T.copy())
    bias = [edit.store(intercepts)] if intercepts.size == targets else []
    scores = edit.emit("Gemm" if bias else "MatMul", [rows, weights, *bias])
    return [(transformed if targets > 1 else single)(edit, scores, transform)]


RULES = {"LinearClassifier": _classifier, "LinearRegressor": _regressor}
