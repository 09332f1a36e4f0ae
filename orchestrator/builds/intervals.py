"""How sure a median is: an interval around it, from the order of the values alone. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CONFIDENCE", "ENOUGH", "SINGLE", "Interval", "interval_of", "level"]

#: How sure an interval is to hold the median, where there are values enough for that (six).
CONFIDENCE = 0.95
#: Times of fewer repeats have no interval worth the name.
ENOUGH = 3
#: By which part a median of fewer may be off: two of one candidate, in different processes, are apart by less
#: in nine cases of ten (docs/performance.md).
SINGLE = 0.08


@dataclass(frozen=True)
class Interval:
    """A median, and between which two values the true one lies."""

    low: float
    middle: float
    high: float


def interval_of(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the median of values and its interval.

    The interval is bounded by the k-th smallest and the k-th largest value, with the largest k for which a
    median lies between them with the wanted confidence; it asks nothing of the values' distribution (J.-Y. Le
    Boudec, Performance Evaluation of Computer and Communication Systems, 2010, theorem 2.1; T. Hoefler and R.
    Belli, Scientific Benchmarking of Parallel Computing Systems, SC 2015, rule 6). Of five values or fewer it
    is all of them: with 94% for five, 88% for four, 75% for three.

    Parameters
    ----------
    values : sequence of float
        At least one. They have to be independent: of runs of one process, which are alike, take the median as
        one value (A. Georges et al., Statistically Rigorous Java Performance Evaluation, OOPSLA 2007).
    """
    ordered = sorted(values)
    most = (1 - confidence) / 2 * 2 ** len(ordered)
    # That the median lies below the k-th smallest has a chance of `below` / 2^n.
    rank, below = 0, 1
    while rank < (len(ordered) - 1) // 2:
        below += math.comb(len(ordered), rank + 1)
        if below > most:
            break
        rank += 1
    return Interval(ordered[rank], statistics.median(ordered), ordered[-1 - rank])


def level(first: Sequence[float], second: Sequence[float]) -> bool:
    """Say whether the medians of two sets of times are not apart, as far as the times tell.

    They aren't where their intervals overlap. This errs on the side of "level": of two 95% intervals that
    don't overlap, the medians differ with more than 95% (N. Schenker and J. Gentleman, On Judging the
    Significance of Differences by Examining the Overlap Between Confidence Intervals, The American
    Statistician 55, 2001). Where either is of fewer than :data:`ENOUGH` times, they aren't within
    :data:`SINGLE`.
    """
    if min(len(first), len(second)) < ENOUGH:
        medians = sorted((statistics.median(first), statistics.median(second)))
        return medians[1] <= (1 + SINGLE) * medians[0]
    one, other = interval_of(first), interval_of(second)
    return one.low <= other.high and other.low <= one.high
