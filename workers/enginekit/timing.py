"""Timing a candidate that is loaded on a device, in full only where it may be the best."""

from __future__ import annotations

import math
from typing import Any

# TVM computes the median of what it has timed: with numpy 2 that imports this, 14 ms in every process.
import numpy.ma  # noqa: F401

from workers.messages import EvaluatorConfig, Timing

__all__ = ["FAR_BEHIND", "timed"]

#: Times the best known that all first looks at a candidate must exceed for it not to be timed in full. A
#: single look is off by that much for one candidate in thirty (docs/performance.md), hence three.
FAR_BEHIND = 2.0
# One look, in milliseconds: calls of microseconds are added up until they take this long.
_LOOK_MS = 5
# So much longer than asked for a repeat is aimed at, that the first attempt at it is long enough.
_MARGIN = 1.15


def timed(
    module: Any,
    entry: str,
    device: Any,
    arguments: list[Any],
    evaluator: EvaluatorConfig,
    best_known_s: float | None = None,
) -> Timing:
    """Time a function of a module with TVM's ``time_evaluator``, which both TVMs have.

    Parameters
    ----------
    best_known_s : float or None
        Seconds of the best candidate known. One that three short looks find far behind it is not timed any
        further: a single one may have been disturbed.
    """

    def look(number: int, repeat: int, min_repeat_ms: int) -> tuple[float, ...]:
        timer = module.time_evaluator(
            entry, device, number=number, repeat=repeat, min_repeat_ms=min_repeat_ms
        )
        return tuple(float(seconds) for seconds in timer(*arguments).results)

    shortest = min(_LOOK_MS, evaluator.min_repeat_ms)
    number = evaluator.number
    if best_known_s is not None or shortest:
        looks = look(1, 1, shortest)
        if best_known_s is not None:
            enough = FAR_BEHIND * best_known_s
            # What takes as long as a whole repeat is no disturbance any more.
            if looks[0] > enough and looks[0] * 1e3 < evaluator.min_repeat_ms:
                looks += look(1, 2, shortest)
            if min(looks) > enough:
                return Timing(looks, stopped=True)
        # TVM calls a candidate `number` times, then reckons how many calls fill a repeat, and where these
        # take a little less than that, half as many again from the start: twice the time for the same figure.
        number = max(number, math.ceil(_MARGIN * evaluator.min_repeat_ms / 1e3 / min(looks)))
    return Timing(look(number, evaluator.repeat, evaluator.min_repeat_ms))
