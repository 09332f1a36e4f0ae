"""How far outputs are from the float32 model's, as one number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.errors import UsageError
from workers.messages import Metric
from workers.models._shapes import shape_text

__all__ = ["error_of", "mean_error_of", "percent", "require_answers", "words_for"]

_Array = npt.NDArray[Any]

# Samples, places of a sequence, classes.
_MOST_AXES = 3

_WORDS = {
    Metric.MAX: "of an output's largest value",
    Metric.COSINE: "less than 1 of the cosine between the outputs",
    Metric.TOP1: "of all answers, the largest entry being another",
}


def percent(part: float) -> str:
    """Write a part of a whole for people."""
    return f"{100 * part:.3g}%"


def words_for(metric: Metric, error: float) -> str:
    """Say an error for people."""
    return f"{percent(error)} {_WORDS[metric]}"


def error_of(
    metric: Metric, outputs: Sequence[Sequence[_Array]], reference: Sequence[Sequence[_Array]]
) -> float:
    """Return the error of the worst output.

    Parameters
    ----------
    outputs, reference : sequence of sequence of ndarray
        All outputs of each sample.

    Returns
    -------
    float
        By :attr:`Metric.MAX` the largest difference over the largest value; by ``COSINE`` 1 less the cosine,
        of the worst sample; by ``TOP1`` the share of rows whose largest entry is another, of outputs that
        hold such, see :func:`require_answers`. Of outputs that
        hold no floats the share of entries that differ. ``inf`` where shapes or what isn't finite differ.
    """
    by_output = zip(zip(*outputs, strict=True), zip(*reference, strict=True), strict=True)
    return max((_of_one(metric, got, want) for got, want in by_output), default=0.0)


def require_answers(metric: Metric, reference: Sequence[_Array], names: Sequence[str]) -> None:
    """Refuse to count answers where there are none.

    An answer is a row along the last axis. Of more than three axes it may as well be another, as of images.

    Parameters
    ----------
    reference : sequence of ndarray
        The outputs of a sample.
    names : sequence of str
        Theirs.

    Raises
    ------
    UsageError
    """
    floats = {name: one.shape for name, one in zip(names, reference, strict=True) if one.dtype.kind == "f"}
    if metric is Metric.TOP1 and floats and not any(map(_of_rows, floats.values())):
        listed = ", ".join(f"'{name}' {shape_text(shape)}" for name, shape in floats.items())
        raise UsageError(
            "--metric top1 counts whose largest entry along the last axis is another, and no output has up "
            f"to three axes and more than one entry along the last: {listed}; take --metric max or cosine"
        )


def _of_rows(shape: tuple[int, ...]) -> bool:
    return 1 <= len(shape) <= _MOST_AXES and shape[-1] > 1


def mean_error_of(outputs: Sequence[Sequence[_Array]], reference: Sequence[Sequence[_Array]]) -> float:
    """Return the mean square of what an output is off, of the output's own, for the worst one.

    Of layers whose rounding has nothing to do with each other's it adds up.
    """
    worst = 0.0
    for got, want in zip(zip(*outputs, strict=True), zip(*reference, strict=True), strict=True):
        pairs = [_pair(a, b) for a, b in zip(got, want, strict=True)]
        if any(pair is None for pair in pairs):
            return math.inf
        off = sum(float(np.sum((a - b) ** 2)) for a, b in (pair for pair in pairs if pair is not None))
        own = sum(float(np.sum(b**2)) for _, b in (pair for pair in pairs if pair is not None))
        worst = max(worst, off / own if own else (math.inf if off else 0.0))
    return worst


def _pair(got: _Array, want: _Array) -> tuple[_Array, _Array] | None:
    """Return both in double precision, without what isn't finite; None where that is in other places."""
    if got.shape != want.shape:
        return None
    a, b = got.astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(b)
    if not np.array_equal(finite, np.isfinite(a)):
        return None
    return (a, b) if finite.all() else (np.where(finite, a, 0.0), np.where(finite, b, 0.0))


def _of_one(metric: Metric, got: Sequence[_Array], want: Sequence[_Array]) -> float:
    if want[0].dtype.kind != "f":
        if any(a.shape != b.shape for a, b in zip(got, want, strict=True)):
            return math.inf
        different = sum(int(np.count_nonzero(a != b)) for a, b in zip(got, want, strict=True))
        return different / max(1, sum(one.size for one in want))
    pairs = []
    for a, b in zip(got, want, strict=True):
        pair = _pair(a, b)
        if pair is None:
            return math.inf
        pairs.append(pair)
    if metric is Metric.COSINE:
        return max(_angle(a, b) for a, b in pairs)
    if metric is Metric.TOP1:
        other = [np.argmax(a, -1) != np.argmax(b, -1) for a, b in pairs if _of_rows(b.shape)]
        rows = sum(one.size for one in other)
        return sum(int(np.count_nonzero(one)) for one in other) / rows if rows else 0.0
    off = max((float(np.max(np.abs(a - b), initial=0.0)) for a, b in pairs), default=0.0)
    largest = max((float(np.max(np.abs(b), initial=0.0)) for _, b in pairs), default=0.0)
    return off / largest if largest else (math.inf if off else 0.0)


def _angle(a: _Array, b: _Array) -> float:
    lengths = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    if not lengths:
        return 0.0 if np.array_equal(a, b) else 1.0
    return max(0.0, 1.0 - float(np.vdot(a, b)) / lengths)
