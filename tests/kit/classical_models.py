"""Models of ai.onnx.ml as scikit-learn, LightGBM and XGBoost are exported, and what else the standard allows.

Made by hand: random trees whose limits are few, so that inputs meet them exactly; NaN where one takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["CLASSICAL", "Classical", "forest", "limits", "model_of", "tensor_forest"]

FLOAT, DOUBLE, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64
STRING = TensorProto.STRING

# What trees ask about; inputs are drawn from the same, from between, and from beyond.
limits = np.asarray([-1.5, -0.25, 0.0, 0.125, 0.7, 3.0], np.float32)


@dataclass(frozen=True)
class Classical:
    """A model, and the rows to try it with.

    Attributes
    ----------
    left : tuple of str
        Operators of ai.onnx.ml that stay.
    """

    model: onnx.ModelProto
    inputs: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    left: tuple[str, ...] = ()


def rows(
    columns: int, dtype: npt.DTypeLike = np.float32, *, count: int = 200, nan: bool = False, seed: int = 5
) -> Any:
    """Numbers among which the trees' limits are, their neighbours, zeros of both signs, and NaN on demand."""
    draw = np.random.default_rng(seed)
    values = draw.normal(0, 1.5, (count, columns)).astype(np.float32)
    exact = draw.choice(np.concatenate([limits, -limits, [0.0, -0.0]]), (count, columns))
    values = np.where(draw.random((count, columns)) < 0.5, exact, values).astype(np.float32)
    values = np.where(draw.random((count, columns)) < 0.05, np.nextafter(values, np.float32(np.inf)), values)
    if nan:
        values[draw.random((count, columns)) < 0.15] = np.nan
    if np.dtype(dtype).kind in "iu":
        return np.round(values).astype(dtype)
    return values.astype(dtype)


def model_of(
    nodes: Sequence[Any],
    outputs: Sequence[tuple[str, int]],
    columns: int = 4,
    *,
    kind: int = FLOAT,
    opset: int = 17,
    version: int = 3,
    constants: Mapping[str, npt.NDArray[Any]] | None = None,
    shape: Sequence[int | str] | None = None,
) -> onnx.ModelProto:
    """Return a model with one input ``x``, a table of an open number of rows."""
    graph = helper.make_graph(
        list(nodes),
        "classical",
        [helper.make_tensor_value_info("x", kind, ["rows", columns] if shape is None else shape)],
        [helper.make_tensor_value_info(name, of, None) for name, of in outputs],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", version)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def ml(operator: str, outputs: Sequence[str], inputs: Sequence[str] = ("x",), **attributes: Any) -> Any:
    """Return a node of ai.onnx.ml."""
    return helper.make_node(
        operator, list(inputs), list(outputs), domain="ai.onnx.ml", name=f"the {operator}", **attributes
    )


def forest(
    count: int,
    depth: int,
    *,
    columns: int = 4,
    modes: Sequence[str] = ("BRANCH_LEQ",),
    missing: bool = False,
    full: bool = False,
    seed: int = 0,
) -> tuple[dict[str, list[Any]], list[tuple[int, int]]]:
    """Return the attributes of random trees, and their leaves as pairs of tree and node."""
    draw = np.random.default_rng(seed)
    made: dict[str, list[Any]] = {
        f"nodes_{name}": []
        for name in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
    }
    if missing:
        made["nodes_missing_value_tracks_true"] = []
    leaves: list[tuple[int, int]] = []

    def add(tree: int, mode: str) -> int:
        node = sum(one == tree for one in made["nodes_treeids"])
        entry = {"treeids": tree, "nodeids": node, "modes": mode, "truenodeids": 0, "falsenodeids": 0}
        entry["featureids"] = int(draw.integers(columns)) if mode != "LEAF" else 0
        entry["values"] = float(draw.choice(limits)) if mode != "LEAF" else 0.0
        for name, value in entry.items():
            made[f"nodes_{name}"].append(value)
        if missing:
            made["nodes_missing_value_tracks_true"].append(int(draw.integers(2)))
        return len(made["nodes_treeids"]) - 1

    def grow(tree: int, level: int) -> int:
        if level == depth or (not full and level and draw.random() < 0.25):
            place = add(tree, "LEAF")
            leaves.append((tree, made["nodes_nodeids"][place]))
        else:
            place = add(tree, str(draw.choice(list(modes))))
            made["nodes_truenodeids"][place] = made["nodes_nodeids"][grow(tree, level + 1)]
            made["nodes_falsenodeids"][place] = made["nodes_nodeids"][grow(tree, level + 1)]
        return place

    for tree in range(count):
        grow(tree, 0)
    return made, leaves


def _as_double(made: dict[str, Any], *names: str) -> dict[str, Any]:
    """The same with some attributes as tensors of doubles."""
    changed = dict(made)
    for name in names:
        values = np.asarray(changed.pop(name), np.float64)
        changed[f"{name}_as_tensor"] = numpy_helper.from_array(values, name)
    return changed


def regressor(
    count: int = 5,
    depth: int = 3,
    *,
    targets: int = 1,
    double: bool = False,
    kind: int = FLOAT,
    sparse: bool = False,
    seed: int = 0,
    base: Sequence[float] = (),
    nan: bool = False,
    aggregate: str = "SUM",
    transform: str = "NONE",
    opset: int = 17,
    **how: Any,
) -> Classical:
    """Return a TreeEnsembleRegressor."""
    draw = np.random.default_rng(seed + 1)
    made, leaves = forest(count, depth, seed=seed, **how)
    votes = [
        (tree, node, t)
        for tree, node in leaves
        for t in range(targets)
        if not sparse or draw.random() < 0.6 or t == tree % targets
    ]
    low = 0.01 if transform == "PROBIT" else -1.0
    high = 0.9 / count if transform == "PROBIT" else 1.0
    attributes: dict[str, Any] = {
        **made,
        "target_treeids": [tree for tree, _, _ in votes],
        "target_nodeids": [node for _, node, _ in votes],
        "target_ids": [target for _, _, target in votes],
        "target_weights": draw.uniform(low, high, len(votes)).astype(np.float32).tolist(),
        "n_targets": targets,
        "aggregate_function": aggregate,
        "post_transform": transform,
    }
    if len(base):
        attributes["base_values"] = list(base)
    if double:
        names = ["nodes_values", "target_weights", *(["base_values"] if len(base) else [])]
        attributes = _as_double(attributes, *names)
    node = ml("TreeEnsembleRegressor", ["y"], **attributes)
    model = model_of([node], [("y", FLOAT)], kind=kind, opset=opset)
    return Classical(model, {"x": rows(4, helper.tensor_dtype_to_np_dtype(kind), nan=nan)})


def classifier(
    count: int = 5,
    depth: int = 3,
    *,
    classes: int = 3,
    words: bool = False,
    which: Callable[[int, int], Sequence[int]] | None = None,
    positive: bool = False,
    equal: bool = False,
    double: bool = False,
    kind: int = FLOAT,
    seed: int = 0,
    base: Sequence[float] = (),
    nan: bool = False,
    transform: str = "NONE",
    labels: Sequence[int] = (),
    **how: Any,
) -> Classical:
    """Return a TreeEnsembleClassifier.

    Parameters
    ----------
    which : callable, optional
        The classes that a leaf has votes for, by its tree and number; all, if left out.
    """
    draw = np.random.default_rng(seed + 1)
    made, leaves = forest(count, depth, seed=seed, **how)
    chosen = which or (lambda tree, leaf: range(classes))
    votes = [(tree, node, c) for place, (tree, node) in enumerate(leaves) for c in chosen(tree, place)]
    weights = draw.uniform(0.0 if positive else -1.0, 1.0 / count if positive else 1.0, len(votes))
    if equal:
        weights = draw.integers(0, 2, len(votes)) / count
    attributes: dict[str, Any] = {
        **made,
        "class_treeids": [tree for tree, _, _ in votes],
        "class_nodeids": [node for _, node, _ in votes],
        "class_ids": [c for _, _, c in votes],
        "class_weights": weights.astype(np.float32).tolist(),
        "post_transform": transform,
    }
    if words:
        attributes["classlabels_strings"] = [f"class {c}" for c in range(classes)]
    else:
        attributes["classlabels_int64s"] = list(labels) or [3 * c + 2 for c in range(classes)]
    if len(base):
        attributes["base_values"] = list(base)
    if double:
        names = ["nodes_values", "class_weights", *(["base_values"] if len(base) else [])]
        attributes = _as_double(attributes, *names)
    node = ml("TreeEnsembleClassifier", ["label", "scores"], **attributes)
    outputs = [("label", STRING if words else INT64), ("scores", FLOAT)]
    model = model_of([node], outputs, kind=kind)
    return Classical(model, {"x": rows(4, helper.tensor_dtype_to_np_dtype(kind), nan=nan)})


def tensor_forest(
    *,
    kind: int = FLOAT,
    targets: int = 2,
    aggregate: int = 1,
    transform: int = 0,
    sets: bool = False,
    nan: bool = False,
) -> Classical:
    """Return a TreeEnsemble of version 5: three trees, one of which is a leaf."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)

    def tensor(values: Any, of: npt.DTypeLike = dtype) -> Any:
        return numpy_helper.from_array(np.asarray(values, of))

    # 0: 1 or leaf 2; 1: leaf 0 or leaf 1; 2: leaf 3 or 3; 3: leaf 4 or leaf 5; 4: leaf 6 alone
    attributes: dict[str, Any] = {
        "aggregate_function": aggregate,
        "post_transform": transform,
        "n_targets": targets,
        "tree_roots": [0, 2, 4],
        "nodes_featureids": [0, 1, 2, 3, 0],
        "nodes_modes": tensor([0, 3, 1, 6 if sets else 4, 0], np.uint8),
        "nodes_splits": tensor([0.125, 0.0, 0.7, 3.0, 0.0]),
        "nodes_truenodeids": [1, 0, 3, 4, 6],
        "nodes_trueleafs": [0, 1, 1, 1, 1],
        "nodes_falsenodeids": [2, 1, 3, 5, 6],
        "nodes_falseleafs": [1, 1, 0, 1, 1],
        "nodes_missing_value_tracks_true": [1, 0, 0, 1, 0] if nan else [0] * 5,
        "leaf_targetids": [0, 1, 0, 1, 0, 1, 0] if targets > 1 else [0] * 7,
        "leaf_weights": tensor([0.5, -1.25, 2.0, 0.75, -0.5, 1.5, 0.25]),
    }
    if sets:
        attributes["membership_values"] = tensor([0.0, 3.0, 1.0, np.nan])
    node = ml("TreeEnsemble", ["y"], **attributes)
    model = model_of([node], [("y", kind)], kind=kind, version=5, opset=21)
    return Classical(model, {"x": rows(4, dtype, nan=nan)})


def linear(
    classes: int, coefficients: int, *, words: bool = False, transform: str = "NONE", kind: int = FLOAT
) -> Classical:
    """Return a LinearClassifier."""
    draw = np.random.default_rng(coefficients)
    names: dict[str, Any] = (
        {"classlabels_strings": [f"class {c}" for c in range(classes)]}
        if words
        else {"classlabels_ints": [5 - c for c in range(classes)]}
    )
    spread = 0.1 if transform == "PROBIT" else 1.0
    node = ml(
        "LinearClassifier",
        ["label", "scores"],
        coefficients=draw.normal(0, spread * 0.5, 4 * coefficients).astype(np.float32).tolist(),
        intercepts=(draw.normal(0, spread, coefficients) + (0.5 if transform == "PROBIT" else 0))
        .astype(np.float32)
        .tolist(),
        post_transform=transform,
        **names,
    )
    values = np.clip(rows(4), -1, 1) if transform == "PROBIT" else rows(4)
    outputs = [("label", STRING if words else INT64), ("scores", FLOAT)]
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    return Classical(model_of([node], outputs, kind=kind), {"x": values.astype(dtype)})


def linear_regressor(targets: int, *, transform: str = "NONE", intercepts: bool = True) -> Classical:
    """Return a LinearRegressor."""
    draw = np.random.default_rng(targets)
    extra = {"intercepts": draw.normal(0, 1, targets).astype(np.float32).tolist()} if intercepts else {}
    node = ml(
        "LinearRegressor",
        ["y"],
        coefficients=draw.normal(0, 0.5, 4 * targets).astype(np.float32).tolist(),
        targets=targets,
        post_transform=transform,
        **extra,
    )
    return Classical(model_of([node], [("y", FLOAT)]), {"x": rows(4)})


def machine(
    counts: Sequence[int],
    kernel: str = "RBF",
    *,
    probabilities: bool = False,
    words: bool = False,
    transform: str = "NONE",
    positive: bool = False,
    classes: int = 0,
    degree: float = 3.0,
    kind: int = FLOAT,
) -> Classical:
    """Return an SVMClassifier; without vectors it is as liblinear's."""
    draw = np.random.default_rng(sum(counts) + 1)
    vectors, classes = sum(counts), classes or len(counts)
    pairs = classes * (classes - 1) // 2
    size = (classes - 1) * vectors if vectors else classes * 4
    coefficients = draw.normal(0, 1, size)
    names: dict[str, Any] = (
        {"classlabels_strings": [f"class {c}" for c in range(classes)]}
        if words
        else {"classlabels_ints": [7 * c + 1 for c in range(classes)]}
    )
    if probabilities:
        names["prob_a"] = draw.normal(-1.5, 0.5, pairs).astype(np.float32).tolist()
        names["prob_b"] = draw.normal(0, 0.5, pairs).astype(np.float32).tolist()
    extra: dict[str, Any] = {"vectors_per_class": list(counts)} if vectors else {}
    node = ml(
        "SVMClassifier",
        ["label", "scores"],
        coefficients=(np.abs(coefficients) if positive else coefficients).astype(np.float32).tolist(),
        kernel_type=kernel,
        kernel_params=[0.3, 0.5, degree],
        rho=draw.normal(0, 0.3, pairs).astype(np.float32).tolist(),
        post_transform=transform,
        **(
            {"support_vectors": draw.normal(0, 1, 4 * vectors).astype(np.float32).tolist()} if vectors else {}
        ),
        **extra,
        **names,
    )
    outputs = [("label", STRING if words else INT64), ("scores", FLOAT)]
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    left = ("SVMClassifier",) if probabilities and classes > 2 else ()
    return Classical(model_of([node], outputs, kind=kind), {"x": rows(4, dtype)}, left)


def machine_regressor(
    vectors: int, kernel: str = "RBF", *, one_class: bool = False, degree: float = 3.0
) -> Classical:
    """Return an SVMRegressor."""
    draw = np.random.default_rng(vectors + 3)
    node = ml(
        "SVMRegressor",
        ["y"],
        coefficients=draw.normal(0, 1, vectors or 4).astype(np.float32).tolist(),
        kernel_type=kernel,
        kernel_params=[0.3, 0.5, degree],
        n_supports=vectors,
        rho=[0.25],
        one_class=int(one_class),
        **(
            {"support_vectors": draw.normal(0, 1, 4 * vectors).astype(np.float32).tolist()} if vectors else {}
        ),
    )
    return Classical(model_of([node], [("y", FLOAT)]), {"x": rows(4)})


def one(
    operator: str,
    output: int = FLOAT,
    *,
    kind: int = FLOAT,
    nan: bool = False,
    version: int = 3,
    opset: int = 17,
    shape: Any = None,
    inputs: Any = None,
    **attributes: Any,
) -> Classical:
    """Return a model of one operator between tensors of the same rows."""
    model = model_of(
        [ml(operator, ["y"], **attributes)],
        [("y", output)],
        kind=kind,
        version=version,
        opset=opset,
        shape=shape,
    )
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    return Classical(model, {"x": rows(4, dtype, nan=nan) if inputs is None else inputs})


def _extractor() -> Classical:
    nodes = [ml("ArrayFeatureExtractor", ["y"], ("x", "places"))]
    places = np.asarray([[2, 0, 2]], np.int64)
    return Classical(model_of(nodes, [("y", FLOAT)], constants={"places": places}), {"x": rows(4)})


def _taken_from_labels() -> Classical:
    """How scikit-learn's converters come from scores to labels."""
    nodes = [
        helper.make_node("ArgMax", ["x"], ["best"], axis=1, keepdims=0),
        ml("ArrayFeatureExtractor", ["picked"], ("labels", "best")),
        helper.make_node("Reshape", ["picked", "flat"], ["y"]),
    ]
    constants = {"labels": np.asarray([4, 8, 15, 16], np.int64), "flat": np.asarray([-1], np.int64)}
    return Classical(model_of(nodes, [("y", INT64)], constants=constants), {"x": rows(4)})


def _vectorizer() -> Classical:
    nodes = [
        ml("FeatureVectorizer", ["y"], ("x", "x", "x"), inputdimensions=[4, 3, 6]),
    ]
    return Classical(model_of(nodes, [("y", FLOAT)]), {"x": rows(4)})


def _pipeline() -> Classical:
    """A scaler, a normalizer and a machine: what each reads, the one before makes."""
    draw = np.random.default_rng(0)
    nodes = [
        ml("Scaler", ["a"], scale=[0.5, 2.0, 1.0, -1.0], offset=[0.1, 0.2, 0.3, 0.4]),
        ml("Normalizer", ["b"], ("a",), norm="L2"),
        ml(
            "LinearRegressor",
            ["y"],
            ("b",),
            coefficients=draw.normal(0, 1, 4).astype(np.float32).tolist(),
            intercepts=[0.5],
            targets=1,
        ),
    ]
    return Classical(model_of(nodes, [("y", FLOAT)], kind=INT64), {"x": rows(4, np.int64)})


ALL_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")

CLASSICAL: Mapping[str, Callable[[], Classical]] = {
    # -- trees
    "a tree": lambda: regressor(1, 3),
    "shallow trees": lambda: regressor(20, 3),
    "deep trees": lambda: regressor(7, 9),
    "trees of one leaf": lambda: regressor(3, 0),
    "averages": lambda: regressor(5, 4, aggregate="AVERAGE", targets=2, base=(0.5, -0.5)),
    "least of trees": lambda: regressor(5, 3, aggregate="MIN", targets=3, sparse=True),
    "largest of trees": lambda: regressor(
        5, 7, aggregate="MAX", targets=3, sparse=True, base=(1.0, 2.0, 3.0)
    ),
    "largest of trees of one target": lambda: regressor(5, 3, aggregate="MAX", base=(0.5,)),
    "sparse targets": lambda: regressor(5, 3, targets=3, sparse=True),
    "sparse targets of one tree, base": lambda: regressor(1, 3, targets=3, sparse=True, base=(0.1, 0.2, 0.3)),
    "least of a sparse tree": lambda: regressor(
        1, 3, targets=3, sparse=True, base=(0.1, 0.2, 0.3), aggregate="MIN"
    ),
    "least of a sparse tree, no base": lambda: regressor(1, 3, targets=3, sparse=True, aggregate="MIN"),
    "average of a sparse tree": lambda: regressor(
        1, 3, targets=3, sparse=True, base=(0.1, 0.2, 0.3), aggregate="AVERAGE"
    ),
    "doubles": lambda: regressor(5, 3, kind=DOUBLE, double=True, base=(0.25,)),
    "doubles, deep": lambda: regressor(
        5, 8, kind=DOUBLE, double=True, modes=ALL_MODES, missing=True, nan=True
    ),
    "whole numbers": lambda: classifier(5, 4, kind=INT64),
    "softmax of targets": lambda: regressor(5, 3, targets=3, transform="SOFTMAX"),
    "softmax of targets but zeros": lambda: regressor(1, 3, targets=3, sparse=True, transform="SOFTMAX_ZERO"),
    "probit of targets": lambda: regressor(5, 3, targets=2, transform="PROBIT"),
    "probit of one target": lambda: regressor(5, 3, transform="PROBIT"),
    "logistic of one target": lambda: regressor(5, 3, transform="LOGISTIC"),
    "before opset 12": lambda: regressor(5, 3, opset=9),
    "before opset 12, deep": lambda: regressor(5, 8, opset=11),
    **{
        f"{mode} to depth {depth}{', missing' if missing else ''}": partial(
            regressor, 6, depth, modes=(mode,), missing=missing, nan=True
        )
        for mode in ALL_MODES
        for depth in (3, 7)
        for missing in (False, True)
    },
    "all modes": lambda: regressor(6, 4, modes=ALL_MODES, missing=True, nan=True),
    "all modes, deep": lambda: regressor(6, 8, modes=ALL_MODES, missing=True, nan=True),
    "version 5": tensor_forest,
    "version 5, missing": lambda: tensor_forest(nan=True),
    "version 5, doubles, sets": lambda: tensor_forest(kind=DOUBLE, sets=True),
    "version 5, sets, missing": lambda: tensor_forest(sets=True, nan=True),
    "version 5, averages": lambda: tensor_forest(aggregate=0, targets=1),
    "version 5, least": lambda: tensor_forest(aggregate=2),
    **{f"version 5, transform {t}": partial(tensor_forest, transform=t) for t in (1, 2, 3)},
    # -- classes of trees
    "three classes": classifier,
    "three classes by words": lambda: classifier(words=True),
    "three classes, softmax, base": lambda: classifier(transform="SOFTMAX", base=(0.1, 0.2, 0.3)),
    "three classes, a tree for each": lambda: classifier(6, which=lambda tree, leaf: [tree % 3]),
    "three classes, a leaf for each": lambda: classifier(6, which=lambda tree, leaf: [leaf % 3]),
    "three classes, a leaf for each, base": lambda: classifier(
        6, which=lambda tree, leaf: [leaf % 3], base=(0.1, -0.2, 0.3)
    ),
    "three classes with ties": lambda: classifier(10, equal=True, positive=True),
    "three classes, logistic": lambda: classifier(transform="LOGISTIC"),
    "three classes, doubles": lambda: classifier(kind=DOUBLE, double=True),
    **{
        f"two classes, {name}{', logistic' if logistic else ''}, base of {base}": partial(
            classifier,
            6,
            classes=2,
            which=which,
            positive=positive,
            transform="LOGISTIC" if logistic else "NONE",
            base=(0.1, -0.3)[:base],
        )
        for name, which, positive in (
            ("votes for both", lambda tree, leaf: [0, 1], True),
            ("votes for the first", lambda tree, leaf: [0], False),
            ("votes for the first, positive", lambda tree, leaf: [0], True),
            ("votes for the second", lambda tree, leaf: [1], False),
            ("votes for the second, positive", lambda tree, leaf: [1], True),
        )
        for logistic in (False, True)
        for base in (0, 1, 2)
    },
    "two classes, votes for one by the leaf": lambda: classifier(
        3, classes=2, which=lambda tree, leaf: [leaf % 2]
    ),
    "two classes, votes for one by the leaf, base of 2": lambda: classifier(
        3, classes=2, which=lambda tree, leaf: [leaf % 2], base=(0.1, -0.3)
    ),
    "two classes by words": lambda: classifier(classes=2, words=True, which=lambda tree, leaf: [0]),
    "two classes called 0 and 1": lambda: classifier(classes=2, labels=(0, 1), which=lambda tree, leaf: [0]),
    "one class": lambda: classifier(classes=1),
    # -- lines
    "line": lambda: linear_regressor(1),
    "lines": lambda: linear_regressor(3),
    "lines, softmax": lambda: linear_regressor(3, transform="SOFTMAX"),
    "line, logistic": lambda: linear_regressor(1, transform="LOGISTIC"),
    "line without intercept": lambda: linear_regressor(1, intercepts=False),
    "line between two": lambda: linear(2, 1),
    "line between two, logistic": lambda: linear(2, 1, transform="LOGISTIC"),
    "line between two words": lambda: linear(2, 1, words=True),
    "two lines, logistic": lambda: linear(2, 2, transform="LOGISTIC"),
    "two lines, softmax": lambda: linear(2, 2, transform="SOFTMAX"),
    "lines between three": lambda: linear(3, 3),
    "lines between three words": lambda: linear(3, 3, words=True),
    "lines between three, softmax without zeros": lambda: linear(3, 3, transform="SOFTMAX_ZERO"),
    "lines between three, probit": lambda: linear(3, 3, transform="PROBIT"),
    "lines between three, doubles": lambda: linear(3, 3, kind=DOUBLE),
    "lines between three, whole numbers": lambda: linear(3, 3, kind=INT64),
    # -- vectors
    **{
        f"machine, {kernel}": partial(machine, (3, 4), kernel)
        for kernel in ("LINEAR", "POLY", "RBF", "SIGMOID")
    },
    "machine of degree 2": lambda: machine((3, 4), "POLY", degree=2.0),
    "machine of degree 4": lambda: machine((3, 4), "POLY", degree=4.0),
    "machine of three": lambda: machine((3, 4, 2)),
    "machine of five words": lambda: machine((3, 4, 2, 5, 3), words=True),
    "machine of three, softmax": lambda: machine((3, 4, 2), transform="SOFTMAX"),
    "machine, logistic": lambda: machine((3, 4), transform="LOGISTIC"),
    "machine, probabilities": lambda: machine((3, 4), probabilities=True),
    "machine, probabilities, words": lambda: machine((3, 4), probabilities=True, words=True),
    "machine of three, probabilities": lambda: machine((3, 4, 2), probabilities=True),
    "machine of four words, probabilities": lambda: machine((3, 1, 2, 4), probabilities=True, words=True),
    "machine, doubles": lambda: machine((3, 4), kind=DOUBLE),
    "machine of lines": lambda: machine((), classes=3),
    "machine of two lines": lambda: machine((), classes=2),
    "machine of two lines, positive": lambda: machine((), classes=2, positive=True),
    "machine of two lines, logistic": lambda: machine((), classes=2, transform="LOGISTIC"),
    **{
        f"machine for numbers, {kernel}": partial(machine_regressor, 6, kernel)
        for kernel in ("LINEAR", "POLY", "RBF", "SIGMOID")
    },
    "machine for numbers without vectors": lambda: machine_regressor(0),
    "machine of one class": lambda: machine_regressor(6, one_class=True),
    # -- columns
    "scaler": lambda: one("Scaler", scale=[0.5, 2.0, 1.0, -1.0], offset=[0.1, 0.2, 0.3, 0.4], nan=True),
    "scaler of all": lambda: one("Scaler", scale=[0.5], offset=[0.1]),
    "scaler of doubles": lambda: one("Scaler", kind=DOUBLE, scale=[0.5] * 4, offset=[0.1] * 4),
    "scaler of whole numbers": lambda: one("Scaler", kind=INT64, scale=[0.5] * 4, offset=[0.1] * 4),
    "scaler of a vector": lambda: one(
        "Scaler", scale=[0.5] * 4, offset=[0.1] * 4, shape=[4], inputs=rows(4)[0]
    ),
    **{f"normalizer, {norm}": partial(one, "Normalizer", norm=norm) for norm in ("MAX", "L1", "L2")},
    **{
        f"normalizer of doubles, {norm}": partial(one, "Normalizer", norm=norm, kind=DOUBLE)
        for norm in ("MAX", "L1", "L2")
    },
    "normalizer of whole numbers": lambda: one("Normalizer", norm="L2", kind=INT64),
    "normalizer of a vector": lambda: one("Normalizer", norm="L1", shape=[4], inputs=rows(4)[0]),
    "normalizer of zeros": lambda: one("Normalizer", norm="L2", inputs=np.zeros((3, 4), np.float32)),
    "binarizer": lambda: one("Binarizer", threshold=0.125),
    "binarizer as it is": lambda: one("Binarizer"),
    "imputer of NaN": lambda: one(
        "Imputer", imputed_value_floats=[1.0, 2.0, 3.0, 4.0], replaced_value_float=float("nan"), nan=True
    ),
    "imputer of a number": lambda: one("Imputer", imputed_value_floats=[7.0], replaced_value_float=0.125),
    "imputer of whole numbers": lambda: one(
        "Imputer", INT64, kind=INT64, imputed_value_int64s=[5, 6, 7, 8], replaced_value_int64=1
    ),
    "extractor": _extractor,
    "labels taken": _taken_from_labels,
    "vectorizer": _vectorizer,
    "codes of whole numbers": lambda: one(
        "LabelEncoder",
        INT64,
        kind=INT64,
        keys_int64s=[-1, 0, 2, 2],
        values_int64s=[9, 8, 7, 6],
        default_int64=5,
    ),
    "codes far apart": lambda: one(
        "LabelEncoder",
        kind=INT64,
        keys_int64s=[-(2**62), 0, 2**62],
        values_floats=[0.5, 1.5, 2.5],
        default_float=9.0,
    ),
    "codes of floats": lambda: one(
        "LabelEncoder", INT64, keys_floats=limits.tolist(), values_int64s=[6, 5, 4, 3, 2, 1], nan=True
    ),
    "codes of NaN": lambda: one(
        "LabelEncoder",
        version=4,
        keys_floats=[float("nan"), 0.0, 0.7],
        values_floats=[1.0, 2.0, 3.0],
        default_float=4.0,
        nan=True,
    ),
    "codes of doubles": lambda: one(
        "LabelEncoder",
        DOUBLE,
        kind=DOUBLE,
        version=4,
        keys_tensor=numpy_helper.from_array(np.asarray([0.0, 0.125, np.nan])),
        values_tensor=numpy_helper.from_array(np.asarray([1.0, 2.0, 3.0])),
        default_tensor=numpy_helper.from_array(np.asarray([7.0])),
        nan=True,
    ),
    "codes of words": lambda: one(
        "LabelEncoder",
        STRING,
        kind=INT64,
        keys_int64s=[0, 1, 2],
        values_strings=["a", "b", "c"],
        default_string="?",
    ),
    "words of categories": lambda: one(
        "CategoryMapper",
        STRING,
        kind=INT64,
        cats_int64s=[0, 1, 2],
        cats_strings=["a", "b", "c"],
        default_string="?",
    ),
    "places of words": lambda: one(
        "LabelEncoder",
        STRING,
        kind=INT64,
        version=1,
        classes_strings=["a", "b", "c"],
        default_string="?",
        default_int64=-1,
    ),
    "one of categories": lambda: one("OneHotEncoder", kind=INT64, cats_int64s=[0, 2, 1, 0], zeros=1),
    "one of categories of floats": lambda: one("OneHotEncoder", cats_int64s=[0, 2, 1], zeros=1),
    "pipeline": _pipeline,
}
