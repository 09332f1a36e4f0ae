"""TreeEnsembleClassifier, TreeEnsembleRegressor and TreeEnsemble."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.classical.descent import leaves_by_products, leaves_by_walk, products_pay
from workers.models.rewrites.classical.ensembles import Ensemble, of_attributes, of_tensors
from workers.models.rewrites.classical.forest import Forest
from workers.models.rewrites.classical.scores import (
    best,
    chosen,
    index_of,
    labels_of,
    pair,
    single,
    transformed,
)
from workers.models.rewrites.classical.table import Left, Table

__all__ = ["RULES"]

_TWO = 2


@dataclass
class _Votes:
    """What the leaves of an ensemble say.

    Attributes
    ----------
    values : ndarray, nodes by targets
    given : ndarray of bool, nodes by targets
        The leaf has a vote for that target.
    always : ndarray of bool
        In one tree at least, every leaf has one for that target.
    """

    values: npt.NDArray[Any]
    given: npt.NDArray[np.bool_]
    always: npt.NDArray[np.bool_]


def _votes(ensemble: Ensemble, forest: Forest) -> _Votes:
    shape = (len(forest.leaf), ensemble.count)
    values, given = np.zeros(shape, ensemble.weights.dtype), np.zeros(shape, bool)
    places, targets, weights = ensemble.places, ensemble.targets, ensemble.weights
    if ensemble.count == 1:
        # The first vote of a leaf is the only one, whatever it is for.
        places, first = np.unique(places, return_index=True)
        targets, weights = np.zeros_like(places), weights[first]
    if ensemble.aggregate in ("MIN", "MAX"):
        at = np.minimum.at if ensemble.aggregate == "MIN" else np.maximum.at
        values[:] = np.inf if ensemble.aggregate == "MIN" else -np.inf
        at(values, (places, targets), weights)
    else:
        np.add.at(values, (places, targets), weights)
    given[places, targets] = True
    if ensemble.count == 1:
        # A leaf without a vote counts as 0.
        values[forest.leaf & ~given[:, 0]] = 0
        given[:] = True
    return _Votes(values, given, _always(ensemble, forest, given))


def _always(ensemble: Ensemble, forest: Forest, given: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    if ensemble.count == 1 or given[forest.leaf].all():
        return np.ones(ensemble.count, bool)
    found = np.zeros(ensemble.count, bool)
    for root in forest.roots:
        front, said = np.asarray([root]), np.ones(ensemble.count, bool)
        while front.size:
            said &= given[front[forest.leaf[front]]].all(0)
            front = front[~forest.leaf[front]]
            front = np.unique(np.concatenate([forest.yes[front], forest.no[front]]))
        found |= said
    return found


def _floating(edit: Table, node: Any) -> tuple[str, npt.DTypeLike]:
    """Return a node's rows in the type that onnxruntime asks its questions in."""
    rows = edit.rows(node.input[0])
    if edit.type(node.input[0]) == TensorProto.DOUBLE:
        return rows, np.float64
    return edit.floats(rows), np.float32


def _reached(edit: Table, rows: str, forest: Forest, values: npt.NDArray[Any]) -> tuple[str, int]:
    leaves = leaves_by_products if products_pay(forest) else leaves_by_walk
    if not forest.depth:
        leaves = leaves_by_products
    return leaves(edit, rows, forest, values)


# -- regression


def _regressor(node: Any, edit: Table) -> list[str]:
    rows, dtype = _floating(edit, node)
    count = int(_graphs.attribute(node, "n_targets", 1))
    ensemble = of_attributes(node, "target", "target_ids", count, dtype)
    return [edit.floats(_regression(edit, rows, ensemble))]


def _ensemble(node: Any, edit: Table) -> list[str]:
    rows, dtype = _floating(edit, node)
    return [_regression(edit, rows, of_tensors(node, dtype))]


def _regression(edit: Table, rows: str, ensemble: Ensemble) -> str:
    forest = Forest(ensemble.raw)
    votes = _votes(ensemble, forest)
    dtype = votes.values.dtype
    if ensemble.aggregate in ("MIN", "MAX"):
        total = _extreme(edit, rows, ensemble, forest, votes)
    else:
        reached, axis = _reached(edit, rows, forest, votes.values)
        total = edit.reduce("ReduceSum", reached, axis, keep=False)
    if ensemble.aggregate == "AVERAGE":
        total = edit.emit("Div", [total, edit.store(np.asarray(len(forest.roots), dtype))])
    if ensemble.base.size == ensemble.count and ensemble.base.any():
        total = edit.emit("Add", [total, edit.store(ensemble.base)])
        # What has no vote is 0, whatever it begins with.
        if not votes.always.all():
            voted = _voted(edit, rows, forest, votes)
            total = edit.picked(voted, total, edit.store(np.asarray(0, dtype)))
    if ensemble.transform == "NONE":
        return total
    kind = TensorProto.DOUBLE if dtype == np.float64 else TensorProto.FLOAT
    scores = edit.floats(total)
    scores = (transformed if ensemble.count > 1 else single)(edit, scores, ensemble.transform)
    return scores if kind == TensorProto.FLOAT else str(edit.emit("Cast", [scores], to=kind))


def _extreme(edit: Table, rows: str, ensemble: Ensemble, forest: Forest, votes: _Votes) -> str:
    """Return the least or the largest vote for each target; 0 where there is none."""
    # An infinity times 0 is no number: products take a finite one.
    none = np.finfo(votes.values.dtype).max * (1 if ensemble.aggregate == "MIN" else -1)
    values = np.where(np.isinf(votes.values) & ~votes.given, none, votes.values)
    reached, axis = _reached(edit, rows, forest, values)
    least = ensemble.aggregate == "MIN"
    total = edit.reduce("ReduceMin" if least else "ReduceMax", reached, axis, keep=False)
    if votes.always.all():
        return total
    limit, zero = edit.store(np.asarray(none / 2, values.dtype)), edit.store(np.asarray(0, values.dtype))
    nothing = edit.emit("Greater", [total, limit] if least else [limit, total])
    return edit.picked(nothing, zero, total)


# -- classification


def _classifier(node: Any, edit: Table) -> list[str]:
    labels = labels_of(node, "classlabels_strings", "classlabels_int64s")
    rows, dtype = _floating(edit, node)
    if not labels:
        raise Left("has no labels")
    ensemble = of_attributes(node, "class", "class_ids", len(labels), dtype)
    if ensemble.aggregate != "SUM":
        raise Left(f"has the aggregate function {ensemble.aggregate}, which classifiers have not")
    forest = Forest(ensemble.raw)
    votes = _votes(ensemble, forest)
    if len(labels) == 1:
        return _of_one(edit, rows, ensemble, forest, votes, labels)
    if len(labels) == _TWO:
        return _of_two(edit, rows, ensemble, forest, votes, labels)
    return _of_many(edit, rows, ensemble, forest, votes, labels)


def _summed(edit: Table, rows: str, forest: Forest, values: npt.NDArray[Any]) -> str:
    """Return the sums over the trees.

    In double, since two classes with equal votes must come out equal in whatever order a kernel adds them: of
    equal ones the first wins, and forests whose leaves are pure tie often.
    """
    reached, axis = _reached(edit, rows, forest, values)
    if values.dtype == np.float64:
        return edit.reduce("ReduceSum", reached, axis, keep=False)
    exact = edit.emit("Cast", [reached], to=TensorProto.DOUBLE)
    return edit.floats(edit.reduce("ReduceSum", exact, axis, keep=False))


def _of_one(
    edit: Table, rows: str, ensemble: Ensemble, forest: Forest, votes: _Votes, labels: Any
) -> list[str]:
    if isinstance(labels[0], str) or ensemble.base.size > 1:
        raise Left("has one class, and more than one score or a word for its label")
    total = _summed(edit, rows, forest, votes.values)
    if ensemble.base.size:
        total = edit.emit("Add", [total, edit.store(ensemble.base)])
    positive = edit.emit("Greater", [total, edit.store(np.asarray(0, votes.values.dtype))])
    return [index_of(edit, positive), single(edit, edit.floats(total), ensemble.transform)]


def _of_many(
    edit: Table, rows: str, ensemble: Ensemble, forest: Forest, votes: _Votes, labels: Any
) -> list[str]:
    total = _summed(edit, rows, forest, votes.values)
    if ensemble.base.size:
        total = edit.emit("Add", [total, edit.store(ensemble.base)])
    ranked = total
    # A class without a vote can't win; where no vote is below 0, none without would.
    if not ensemble.base.size and not votes.always.all() and bool((votes.values < 0).any()):
        voted = _voted(edit, rows, forest, votes)
        ranked = edit.picked(voted, total, edit.store(np.asarray(-np.inf, votes.values.dtype)))
    index = best(edit, ranked)
    return [chosen(edit, index, labels), transformed(edit, edit.floats(total), ensemble.transform)]


def _voted(edit: Table, rows: str, forest: Forest, votes: _Votes) -> str:
    """Return whether any leaf that a row reaches has a vote for a class."""
    reached, axis = _reached(edit, rows, forest, votes.given.astype(votes.values.dtype))
    most = edit.reduce("ReduceMax", reached, axis, keep=False)
    return str(edit.emit("Greater", [most, edit.store(np.asarray(0, votes.values.dtype))]))


def _of_two(
    edit: Table, rows: str, ensemble: Ensemble, forest: Forest, votes: _Votes, labels: Any
) -> list[str]:
    """Two classes: one score or two, and habits for each case (onnxruntime's TreeAggregatorClassifier)."""
    dtype, base = votes.values.dtype, ensemble.base
    alone = np.unique(ensemble.targets).size == 1
    positive = bool((ensemble.weights >= 0).all())
    total = _summed(edit, rows, forest, votes.values)
    first, second = edit.gather(total, [0], 1), edit.gather(total, [1], 1)

    def plus(value: str, place: int) -> str:
        return str(edit.emit("Add", [value, edit.store(np.asarray(base[place], dtype))]))

    voted = "" if votes.always.all() else _voted(edit, rows, forest, votes)

    def counted(value: str, place: int) -> str:
        """What has no vote is 0, whatever was made of it."""
        if votes.always[place]:
            return value
        return edit.picked(edit.gather(voted, [place], 1), value, edit.store(np.asarray(0, dtype)))

    both = once = ""
    if votes.given[:, 1].any():
        if base.size == _TWO:
            weight = plus(first, 1)
            pairs = [counted(str(edit.emit("Neg", [weight])), 0), weight]
        else:
            weight = second
            pairs = [counted(plus(first, 0) if base.size else first, 0), weight]
        both = transformed(edit, edit.floats(edit.beside(pairs)), ensemble.transform)
    if not votes.always[1]:
        only = plus(first, 0) if base.size else first
        if base.size == _TWO:
            pairs = [only, edit.emit("Mul", [second, edit.store(np.asarray(0, dtype))])]
            once = transformed(edit, edit.floats(edit.beside(pairs)), ensemble.transform)
        elif base.size and not alone:
            raise Left("has rows with one score of two, where onnxruntime leaves the other undefined")
        else:
            kind = "complement" if alone and positive else "mirrored"
            once = pair(edit, edit.floats(only), ensemble.transform, kind)
    if both and once:
        has_second = edit.gather(voted, [1], 1)
        weight = edit.picked(has_second, weight, only)
        scores = edit.picked(has_second, both, once)
    else:
        weight, scores = (weight, both) if both else (only, once)
    enough = np.asarray(0.5 if alone and positive else 0, dtype)
    index = index_of(edit, str(edit.emit("Greater", [weight, edit.store(enough)])))
    if not alone and not isinstance(labels[0], str):
        labels = [0, 1]
    return [chosen(edit, index, labels), scores]


RULES = {
    "TreeEnsemble": _ensemble,
    "TreeEnsembleClassifier": _classifier,
    "TreeEnsembleRegressor": _regressor,
}
