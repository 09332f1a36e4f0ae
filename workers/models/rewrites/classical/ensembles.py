"""The attributes of tree ensembles, of all versions, read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

from workers.models import _graphs
from workers.models.rewrites.classical.forest import Raw
from workers.models.rewrites.classical.table import Left, text, texts

__all__ = ["Ensemble", "numbers", "of_attributes", "of_tensors"]

# As onnxruntime numbers them, which for the transforms is another order than ONNX's.
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
_TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")
_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")


@dataclass(frozen=True)
class Ensemble:
    """Trees, and what their leaves say.

    Attributes
    ----------
    raw : Raw
    places, targets : ndarray of int64
        The leaf that each vote is of, and the class or target that it is for.
    weights : ndarray
    count : int
        Classes or targets.
    base : ndarray
    aggregate, transform : str
    """

    raw: Raw
    places: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    weights: npt.NDArray[Any]
    count: int
    base: npt.NDArray[Any]
    aggregate: str
    transform: str


def numbers(node: Any, name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an attribute that is a list of numbers, or a tensor of them."""
    tensor = _graphs.attribute(node, f"{name}_as_tensor")
    if tensor is not None and tensor.data_type:
        return np.asarray(numpy_helper.to_array(tensor).ravel(), dtype)
    return np.asarray(_graphs.attribute(node, name) or [], np.float32).astype(dtype)


def _integers(node: Any, name: str) -> npt.NDArray[np.int64]:
    return np.asarray(_graphs.attribute(node, name) or [], np.int64)


def of_attributes(node: Any, votes: str, ids: str, count: int, dtype: npt.DTypeLike) -> Ensemble:
    """Read TreeEnsembleClassifier or TreeEnsembleRegressor.

    Parameters
    ----------
    votes, ids : str
        How the attributes of leaves begin, and those of classes or targets.
    """
    trees, nodes = _integers(node, "nodes_treeids"), _integers(node, "nodes_nodeids")
    modes = texts(node, "nodes_modes")
    places = {pair: place for place, pair in enumerate(zip(trees.tolist(), nodes.tolist(), strict=True))}
    missing = _integers(node, "nodes_missing_value_tracks_true")
    raw = Raw(
        modes=modes,
        features=_integers(node, "nodes_featureids"),
        yes=_children(modes, places, trees, _integers(node, "nodes_truenodeids")),
        no=_children(modes, places, trees, _integers(node, "nodes_falsenodeids")),
        limits=numbers(node, "nodes_values", dtype),
        missing=(missing == 1) if missing.size == trees.size else np.zeros(trees.size, bool),
        roots=np.flatnonzero(np.diff(trees, prepend=trees[:1] - 1)) if trees.size else trees,
    )
    if not raw.roots.size or np.unique(trees).size != raw.roots.size:
        raise Left("has no trees, or nodes of a tree among those of another")
    weights = numbers(node, f"{votes}_weights", dtype)
    leaves = np.asarray(
        [
            places[pair]
            for pair in zip(
                _integers(node, f"{votes}_treeids").tolist(),
                _integers(node, f"{votes}_nodeids").tolist(),
                strict=True,
            )
        ],
        np.int64,
    )
    targets = _integers(node, ids)
    # Votes of inner nodes, which an exporter wrote once, don't count.
    kept = np.asarray([modes[place] == "LEAF" for place in leaves], bool)
    return Ensemble(
        raw=raw,
        places=leaves[kept],
        targets=targets[kept],
        weights=weights[kept],
        count=count,
        base=numbers(node, "base_values", dtype),
        aggregate=text(node, "aggregate_function", "SUM"),
        transform=text(node, "post_transform", "NONE"),
    )


def _children(
    modes: Sequence[str],
    places: dict[tuple[int, int], int],
    trees: npt.NDArray[np.int64],
    nodes: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    return np.asarray(
        [
            place if mode == "LEAF" else places[tree, child]
            for place, (mode, tree, child) in enumerate(
                zip(modes, trees.tolist(), nodes.tolist(), strict=True)
            )
        ],
        np.int64,
    )


def of_tensors(node: Any, dtype: npt.DTypeLike) -> Ensemble:
    """Read TreeEnsemble, of ai.onnx.ml 5: leaves are apart from the other nodes."""
    modes = [
        _MODES[mode] if mode < len(_MODES) else f"{mode}" for mode in _tensor(node, "nodes_modes").tolist()
    ]
    inner, leaves = len(modes), _integers(node, "leaf_targetids").size
    missing = _integers(node, "nodes_missing_value_tracks_true")

    def children(which: str) -> npt.NDArray[np.int64]:
        ids = _integers(node, f"nodes_{which}nodeids")
        found = np.where(_integers(node, f"nodes_{which}leafs") != 0, ids + inner, ids)
        return np.concatenate([found, np.arange(inner, inner + leaves)])

    def with_leaves(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.concatenate([values, np.zeros(leaves, values.dtype)])

    yes, no = children("true"), children("false")
    roots = _integers(node, "tree_roots")
    # A tree of one leaf is a node both of whose branches are it.
    only = (yes[roots] == no[roots]) & (yes[roots] >= inner)
    sets = dict(_sets(modes, _tensor(node, "membership_values")))
    weights = _tensor(node, "leaf_weights").astype(dtype)
    return Ensemble(
        raw=Raw(
            modes=modes + ["LEAF"] * leaves,
            features=with_leaves(_integers(node, "nodes_featureids")),
            yes=yes,
            no=no,
            limits=with_leaves(_tensor(node, "nodes_splits").astype(dtype)),
            missing=with_leaves((missing == 1) if missing.size == inner else np.zeros(inner, bool)),
            roots=np.where(only, yes[roots], roots),
            sets=sets,
        ),
        places=np.arange(inner, inner + leaves),
        targets=_integers(node, "leaf_targetids"),
        weights=weights,
        count=int(_graphs.attribute(node, "n_targets", 1)),
        base=np.zeros(0, dtype),
        aggregate=_AGGREGATES[int(_graphs.attribute(node, "aggregate_function", 1))],
        transform=_TRANSFORMS[int(_graphs.attribute(node, "post_transform", 0))],
    )


def _tensor(node: Any, name: str) -> npt.NDArray[Any]:
    tensor = _graphs.attribute(node, name)
    return np.zeros(0) if tensor is None else numpy_helper.to_array(tensor).ravel()


def _sets(modes: Sequence[str], values: npt.NDArray[Any]) -> Iterator[tuple[int, Sequence[float]]]:
    """Yield the sets of nodes that ask for membership; NaN ends each."""
    ends = np.flatnonzero(np.isnan(values)).tolist() if values.size else []
    start = 0
    for place, mode in enumerate(modes):
        if mode == "BRANCH_MEMBER":
            end = ends.pop(0) if ends else values.size
            yield place, values[start:end].tolist()
            start = end + 1
