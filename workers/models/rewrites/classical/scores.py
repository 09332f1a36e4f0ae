"""From scores to labels and probabilities, as onnxruntime's classifiers share them (its ml_common.h)."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.classical.table import Left, Table, texts

__all__ = ["Labels", "best", "chosen", "index_of", "labels_of", "pair", "single", "transformed"]

Labels = list[str] | list[int]

# Of the approximation of the inverse error function that onnxruntime uses (Winitzki), as it writes them.
_PI, _A = np.float32(3.14159), np.float32(0.147)
_NEARLY_ZERO = np.float32(1e-7)


def labels_of(node: Any, strings: str, integers: str) -> Labels:
    """Return the names of a classifier's classes."""
    return texts(node, strings) or [int(label) for label in _graphs.attribute(node, integers) or []]


def best(edit: Table, scores: str) -> str:
    """Return which score of each row is largest; the first of several."""
    return str(edit.emit("ArgMax", [scores], axis=1, keepdims=0))


def chosen(edit: Table, index: str, labels: Labels) -> str:
    """Return the labels of classes by their int64 numbers."""
    if all(label == place for place, label in enumerate(labels)):
        return index
    names = np.asarray(labels, object if isinstance(labels[0], str) else np.int64)
    return str(edit.emit("Gather", [edit.store(names), index], axis=0))


def transformed(edit: Table, scores: str, transform: str) -> str:
    """Return two scores or more of each row as the model's ``post_transform`` wants them."""
    if transform == "LOGISTIC":
        return str(edit.emit("Sigmoid", [scores]))
    if transform == "SOFTMAX":
        return str(edit.emit("Softmax", [scores], axis=1))
    if transform == "SOFTMAX_ZERO":
        return _softmax_of_others(edit, scores)
    return _probit(edit, scores) if transform == "PROBIT" else scores


def pair(edit: Table, score: str, transform: str, second: str) -> str:
    """Return the scores of both classes, where the model computes one of them.

    Of the transforms, onnxruntime heeds LOGISTIC alone.

    Parameters
    ----------
    second : str
        How it comes by the other: as the ``"complement"`` to 1, or ``"mirrored"``.
    """
    if transform == "PROBIT":
        raise Left("makes one score of two with PROBIT, where onnxruntime leaves the other undefined")
    opposite = edit.emit("Neg", [score])
    if transform == "LOGISTIC":
        return str(edit.emit("Sigmoid", [edit.beside([opposite, score])]))
    if second == "complement":
        opposite = edit.emit("Sub", [edit.store(np.float32(1)), score])
    return edit.beside([opposite, score])


def _softmax_of_others(edit: Table, scores: str) -> str:
    """A softmax that skips zeros."""
    largest = edit.reduce("ReduceMax", scores, 1, keep=True)
    powers = edit.emit("Exp", [edit.emit("Sub", [scores, largest])])
    scaled = edit.emit("Mul", [scores, edit.emit("Exp", [edit.emit("Neg", [largest])])])
    counts = edit.emit("Greater", [edit.emit("Abs", [scores]), edit.store(_NEARLY_ZERO)])
    total = edit.reduce("ReduceSum", edit.picked(counts, powers, edit.store(np.float32(0))), 1, keep=True)
    return str(edit.emit("Div", [edit.picked(counts, powers, scaled), total]))


def _probit(edit: Table, scores: str) -> str:
    """Return the inverse of the normal distribution, approximated as onnxruntime does."""

    def number(value: float) -> str:
        return edit.store(np.float32(value))

    x = edit.emit("Sub", [edit.emit("Mul", [scores, number(2)]), number(1)])
    product = edit.emit("Mul", [edit.emit("Sub", [number(1), x]), edit.emit("Add", [number(1), x])])
    log = edit.emit("Log", [product])
    v = edit.emit("Add", [edit.emit("Mul", [log, number(0.5)]), edit.store(2 / (_PI * _A))])
    square = edit.emit("Sub", [edit.emit("Mul", [v, v]), edit.emit("Mul", [log, edit.store(1 / _A)])])
    root = edit.emit("Sqrt", [edit.emit("Sub", [edit.emit("Sqrt", [square]), v])])
    sign = edit.picked(edit.emit("Less", [x, number(0)]), number(-np.sqrt(2)), number(np.sqrt(2)))
    return str(edit.emit("Mul", [sign, root]))


def index_of(edit: Table, positive: str) -> str:
    """Return 1 where a column of conditions holds and 0 elsewhere, a number for each row."""
    return edit.reshape(str(edit.emit("Cast", [positive], to=TensorProto.INT64)), [-1])


def single(edit: Table, score: str, transform: str) -> str:
    """Return the only score of each row, which no transform but PROBIT changes."""
    return _probit(edit, score) if transform == "PROBIT" else score
