"""Which file of scikit-learn's, LightGBM's or XGBoost's a path is. The standard library alone."""

from __future__ import annotations

import contextlib
import re

from workers.converters.sklearn.pickles import Contents, contents

__all__ = [
    "DUMP",
    "LIGHTGBM",
    "NO_ESTIMATOR",
    "OTHERS",
    "PICKLE",
    "XGBOOST",
    "XGBOOST_OLD",
    "pickle_of",
    "recognises",
]

PICKLE, LIGHTGBM, XGBOOST = "pickle", "LightGBM text", "XGBoost JSON/UBJ"
XGBOOST_OLD, DUMP = "XGBoost binary", "dump of a booster"
NO_ESTIMATOR = "pickle of no estimator"

#: Packages whose estimators are converted.
_OURS = {"sklearn", "lightgbm", "xgboost"}
#: Packages of other frameworks, by the framework's name.
OTHERS = {
    "torch": "PyTorch",
    "torchvision": "PyTorch",
    "ultralytics": "PyTorch",
    "keras": "Keras",
    "tensorflow": "TensorFlow",
    "paddle": "PaddlePaddle",
    "catboost": "CatBoost",
    "jax": "JAX",
    "flax": "JAX",
    "mxnet": "MXNet",
}
# XGBoost's first key, as JSON and as binary JSON, which has the key's length before it.
_JSON = re.compile(rb'\s*\{\s*"(?:learner|version|Config)"')
_UBJ = re.compile(rb"\{L.{8}(?:learner|version)", re.DOTALL)


def recognises(path: str) -> str | None:
    """Name the kind of a file."""
    head = _head(path)
    if head.startswith(b"tree\n") and b"\nversion=" in head:
        return LIGHTGBM
    if _UBJ.match(head) or (_JSON.match(head) and _mentions(path, b'"learner"')):
        return XGBOOST
    if head.startswith((b"binf", b"bs64")):
        return XGBOOST_OLD
    start = head.lstrip()
    if (start[:1] == b"{" and b'"tree_info"' in head) or (start[:1] == b"[" and b'"nodeid"' in head):
        return DUMP
    held = contents(path)
    return None if held is None else _pickle(held)


def _pickle(held: Contents) -> str:
    if _outer(held) in OTHERS:
        return pickle_of(OTHERS[_outer(held)])
    return PICKLE if held.packages & _OURS else NO_ESTIMATOR


def pickle_of(framework: str) -> str:
    """Return the kind of a pickle of another framework's."""
    return f"pickle of {framework}"


def _outer(held: Contents) -> str:
    """Return the package of the outermost object."""
    return held.classes[0].split(".")[0] if held.classes else ""


def _head(path: str) -> bytes:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(4096)
    return b""


def _mentions(path: str, word: bytes) -> bool:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return word in file.read(2**22)
    return False
