"""SVMClassifier and SVMRegressor: a kernel between rows and support vectors, then products."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.classical.scores import (
    Labels,
    best,
    chosen,
    index_of,
    labels_of,
    pair,
    transformed,
)
from workers.models.rewrites.classical.table import DOMAIN, Left, Table, floats, text

__all__ = ["RULES"]

_TWO = 2
_CUBE = 3
# Wherever the probability of two classes lies, onnxruntime's search for it ends after at most as many steps:
# 130,000 float32 between its ends were tried.
_SWEEPS = 2
# As it writes them.
_EDGE = np.float32(1e-7)
_ENOUGH = np.float32(0.005) / np.float32(_TWO)


def _number(edit: Table, value: float | np.float32) -> str:
    return edit.store(np.float32(value))


def _kernel(node: Any, edit: Table, rows: str, vectors: npt.NDArray[np.float32], kind: str) -> str:
    """Return the kernel between each row and each of some vectors."""
    given = floats(node, "kernel_params")
    gamma, coef0, degree = given[:3] if given.size else np.zeros(3, np.float32)
    if kind == "RBF":
        # The difference itself: by the squares of both, what is near would be lost in rounding.
        column = edit.reshape(rows, [-1, 1, vectors.shape[1]])
        apart = edit.emit("Sub", [column, edit.store(vectors[None])])
        squared = edit.reduce("ReduceSum", edit.emit("Mul", [apart, apart]), 2, keep=False)
        return str(edit.emit("Exp", [edit.emit("Mul", [squared, _number(edit, -gamma)])]))
    scale = np.float32(1) if kind == "LINEAR" else gamma
    product = str(edit.emit("MatMul", [rows, edit.store((vectors * scale).T.copy())]))
    if kind == "LINEAR":
        return product
    moved = str(edit.emit("Add", [product, _number(edit, coef0)])) if coef0 else product
    if kind == "SIGMOID":
        return str(edit.emit("Tanh", [moved]))
    if degree in (_TWO, _CUBE):
        square = str(edit.emit("Mul", [moved, moved]))
        return square if degree == _TWO else str(edit.emit("Mul", [square, moved]))
    return str(edit.emit("Pow", [moved, _number(edit, degree)]))


def _regressor(node: Any, edit: Table) -> list[str]:
    coefficients, rho = floats(node, "coefficients"), floats(node, "rho")
    count = int(_graphs.attribute(node, "n_supports", 0))
    rows = edit.floats(edit.rows(node.input[0]))
    if count > 0:
        vectors = floats(node, "support_vectors").reshape(count, -1)
        rows = _kernel(node, edit, rows, vectors, text(node, "kernel_type", "LINEAR"))
    weights = edit.store(coefficients.reshape(-1, 1))
    score = str(edit.emit("Gemm", [rows, weights, edit.store(rho[:1])]))
    if _graphs.attribute(node, "one_class", 0):
        inside = edit.emit("Greater", [score, _number(edit, 0)])
        return [edit.picked(inside, _number(edit, 1), _number(edit, -1))]
    return [score]


def _classifier(node: Any, edit: Table) -> list[str] | None:
    labels = labels_of(node, "classlabels_strings", "classlabels_ints")
    if len(labels) < _TWO:
        raise Left("has fewer than two classes")
    if not any(_graphs.attribute(node, "vectors_per_class") or []):
        return _linear(node, edit, labels)
    if _is_remainder(node):
        return None
    return _of_vectors(node, edit, labels)


def _linear(node: Any, edit: Table, labels: Labels) -> list[str]:
    """A score for each class, as liblinear has them."""
    coefficients = floats(node, "coefficients")
    rho = np.full(1, floats(node, "rho")[0])
    rows = edit.floats(edit.rows(node.input[0]))
    weights = edit.store(coefficients.reshape(len(labels), -1).T.copy())
    scores = edit.emit("Gemm", [rows, weights, edit.store(rho)])
    index = best(edit, scores)
    if len(labels) == _TWO and not floats(node, "prob_a").size:
        # The second class wins by itself where the larger score is enough, whosever it is.
        positive = bool(np.all(coefficients >= 0))
        enough = edit.reduce("ReduceMax", scores, 1, keep=False)
        if positive:
            wins = edit.emit("Not", [edit.emit("Less", [enough, _number(edit, 0.5)])])
        else:
            wins = edit.emit("Greater", [enough, _number(edit, 0)])
        index = edit.picked(wins, edit.store(np.int64(1)), index)
    return [chosen(edit, index, labels), transformed(edit, scores, text(node, "post_transform", "NONE"))]


def _of_vectors(node: Any, edit: Table, labels: Labels) -> list[str]:
    """A score for each pair of classes, as libsvm has them; the class with most of them wins."""
    counts = [int(count) for count in _graphs.attribute(node, "vectors_per_class")]
    vectors = floats(node, "support_vectors").reshape(sum(counts), -1)
    rows = edit.floats(edit.rows(node.input[0]))
    kernel = _kernel(node, edit, rows, vectors, text(node, "kernel_type", "LINEAR"))
    pairs = list(combinations(range(len(labels)), 2))
    rho = floats(node, "rho")[: len(pairs)].astype(np.float64)
    # Summed in double, as onnxruntime does.
    weights = edit.store(_weights(floats(node, "coefficients"), counts, pairs))
    products = edit.emit("MatMul", [edit.emit("Cast", [kernel], to=TensorProto.DOUBLE), weights])
    sums = edit.emit("Add", [products, edit.store(rho)])
    scores = str(edit.emit("Cast", [sums], to=TensorProto.FLOAT))
    transform = text(node, "post_transform", "NONE")
    if floats(node, "prob_a").size and len(labels) > _TWO:
        return _remainder(node, edit, scores, labels, pairs)
    first = edit.emit("Greater", [sums, edit.store(np.float64(0))])
    if len(labels) == _TWO:
        index = index_of(edit, edit.emit("Not", [first]))
        if floats(node, "prob_a").size:
            both = _probabilities(node, edit, scores)
            return [chosen(edit, index, labels), transformed(edit, both, transform)]
        second = "mirrored" if transform == "NONE" else "complement"
        return [chosen(edit, index, labels), pair(edit, scores, transform, second)]
    index = best(edit, _votes(edit, str(first), len(labels), pairs))
    return [chosen(edit, index, labels), transformed(edit, scores, transform)]


def _weights(
    coefficients: npt.NDArray[np.float32], counts: Sequence[int], pairs: Sequence[tuple[int, int]]
) -> npt.NDArray[np.float64]:
    """Return the share of each vector in the score of each pair."""
    table = coefficients[: (len(counts) - 1) * sum(counts)].reshape(len(counts) - 1, -1)
    starts = np.concatenate([[0], np.cumsum(counts)])
    weights = np.zeros((sum(counts), len(pairs)))
    for place, (i, j) in enumerate(pairs):
        of_i, of_j = slice(starts[i], starts[i + 1]), slice(starts[j], starts[j + 1])
        weights[of_i, place] = table[j - 1, of_i]
        weights[of_j, place] = table[i, of_j]
    return weights


def _votes(edit: Table, first: str, classes: int, pairs: Sequence[tuple[int, int]]) -> str:
    """Return the votes for each class."""
    gain = np.zeros((len(pairs), classes), np.float32)
    otherwise = np.zeros(classes, np.float32)
    for place, (i, j) in enumerate(pairs):
        gain[place, i], gain[place, j] = 1, -1
        otherwise[j] += 1
    won = edit.emit("Cast", [first], to=TensorProto.FLOAT)
    return str(edit.emit("Gemm", [won, edit.store(gain), edit.store(otherwise)]))


def _probabilities(node: Any, edit: Table, score: str) -> str:
    """Return the probabilities of two classes, by onnxruntime's steps to them (Wu, Lin and Weng 2004)."""
    one, half = _number(edit, 1), _number(edit, 0.5)
    a, b = floats(node, "prob_a")[0], floats(node, "prob_b")[0]
    value = edit.emit("Add", [edit.emit("Mul", [score, _number(edit, a)]), _number(edit, b)])
    raw = edit.emit("Sub", [one, edit.emit("Sigmoid", [value])])
    wanted = edit.emit("Min", [edit.emit("Max", [raw, _number(edit, _EDGE)]), _number(edit, 1 - _EDGE)])
    other = edit.emit("Sub", [one, wanted])
    p = edit.emit("Add", [edit.emit("Mul", [wanted, _number(edit, 0)]), half])
    for _ in range(_SWEEPS):
        q = edit.emit("Sub", [one, p])
        off = edit.emit("Sub", [p, wanted])
        error = edit.emit("Mul", [edit.emit("Abs", [off]), edit.emit("Max", [p, q])])
        # Towards the first, then the second.
        step = edit.emit("Div", [edit.emit("Mul", [off, q]), edit.emit("Mul", [other, other])])
        moved = edit.emit("Div", [edit.emit("Sub", [p, step]), edit.emit("Sub", [one, step])])
        off = edit.emit("Sub", [moved, wanted])
        step = edit.emit("Div", [edit.emit("Mul", [off, moved]), edit.emit("Mul", [wanted, wanted])])
        moved = edit.emit("Div", [moved, edit.emit("Add", [one, step])])
        p = edit.picked(edit.emit("Less", [error, _number(edit, _ENOUGH)]), p, moved)
    return edit.beside([p, str(edit.emit("Sub", [one, p]))])


def _remainder(
    node: Any, edit: Table, scores: str, labels: Labels, pairs: Sequence[tuple[int, int]]
) -> list[str]:
    """Leave the probabilities of more than two classes, a search of up to 100 steps, to onnxruntime.

    What is left is the smallest machine whose scores of pairs are its inputs: one support vector for each, a
    row of the unit matrix.
    """
    classes = len(labels)
    coefficients = np.zeros((classes - 1, len(pairs)), np.float32)
    for place, (_, j) in enumerate(pairs):
        coefficients[j - 1, place] = 1
    names = "classlabels_strings" if isinstance(labels[0], str) else "classlabels_ints"
    made = edit.emit(
        "SVMClassifier",
        [scores],
        2,
        domain=DOMAIN,
        coefficients=coefficients.ravel().tolist(),
        kernel_params=[0.0, 0.0, 0.0],
        kernel_type="LINEAR",
        post_transform=text(node, "post_transform", "NONE"),
        prob_a=floats(node, "prob_a").tolist(),
        prob_b=floats(node, "prob_b").tolist(),
        rho=[0.0] * len(pairs),
        support_vectors=np.eye(len(pairs), dtype=np.float32).ravel().tolist(),
        vectors_per_class=[classes - 1 - place for place in range(classes)],
        **{names: labels},
    )
    return list(made)


def _is_remainder(node: Any) -> bool:
    vectors = floats(node, "support_vectors")
    count = sum(_graphs.attribute(node, "vectors_per_class"))
    unit = vectors.size == count * count and np.array_equal(vectors.reshape(count, count), np.eye(count))
    return bool(unit and floats(node, "prob_a").size and len(floats(node, "rho")) > 1)


RULES = {"SVMClassifier": _classifier, "SVMRegressor": _regressor}
