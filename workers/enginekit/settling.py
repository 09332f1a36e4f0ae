"""Running a model until its times settle, and then for as long as it is to be timed. It is told how to run.

The first runs of a process are not what follows: memory is touched for the first time, threads are not yet
where they stay, a clock that was slow is raised. So runs are looked at in short windows, and what is timed
begins when these have become level.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from workers.messages import WarmUp

__all__ = ["LEVEL", "WINDOWS", "settled_times"]

#: A window is of so many seconds, or of one run where that takes longer.
WINDOW_SECONDS = 0.04
#: So many windows in a row have to be level, besides those before them.
WINDOWS = 3
#: They are where none of them is faster than all before by more than this part of its time, nor slower than
#: the fastest of all by more than twice of it.
LEVEL = 0.03
# What is shorter is called several times for one value: the clock and the call itself would be a part of it.
_LEAST_SECONDS = 2e-4
# Nothing takes less.
_TICK_SECONDS = 1e-7


def settled_times(
    run: Callable[[int, int], Sequence[float]],
    first_s: float,
    *,
    repeats: int,
    number: int = 1,
    settle_s: float = 0.0,
    least_s: float = 0.0,
) -> tuple[tuple[float, ...], WarmUp]:
    """Warm a model up and time it.

    Parameters
    ----------
    run : callable
        Takes a count and a number, and returns as many times as the count, in seconds of one run, each the
        mean of that number of runs.
    first_s : float
        What a first run took (seconds): a hint of how many fill a window; 0 where nobody looked.
    repeats, number : int
        Times taken, at least, and runs averaged into one; more where runs are so short that the clock would
        count.
    settle_s : float
        Seconds that warming up may take, the first run included; 0 for none.
    least_s : float
        Times are taken until they add up to this (seconds).

    Returns
    -------
    tuple of (tuple of float, WarmUp)
    """
    if not first_s:
        first_s = run(1, 1)[0]
    one_s = max(first_s, _TICK_SECONDS)
    warm = _Warm()
    while not warm.settled and first_s + warm.seconds + one_s < settle_s:
        count = max(1, math.ceil(WINDOW_SECONDS / one_s))
        each = _number(one_s, number)
        warm.add(run(max(1, count // each), each), each)
        one_s = max(warm.windows[-1], _TICK_SECONDS)
    number = _number(one_s, number) if least_s else number
    times: list[float] = []
    while len(times) < repeats or sum(times) * number < least_s:
        still = max(least_s - sum(times) * number, 0.0) / (one_s * number)
        times += run(max(1, repeats - len(times), math.ceil(still)), number)
        one_s = max(statistics.median(times), _TICK_SECONDS)
    return tuple(times), WarmUp(warm.runs, warm.seconds, warm.settled or not warm.told)


def _number(one_s: float, number: int) -> int:
    return max(number, math.ceil(_LEAST_SECONDS / one_s))


class _Warm:
    """The windows so far."""

    def __init__(self) -> None:
        self.runs, self.seconds = 0, 0.0
        self.windows: list[float] = []

    def add(self, times: Sequence[float], number: int) -> None:
        self.runs += len(times) * number
        self.seconds += sum(times) * number
        self.windows.append(statistics.median(times))

    @property
    def told(self) -> bool:
        """There were windows enough to tell."""
        return len(self.windows) > WINDOWS

    @property
    def settled(self) -> bool:
        if not self.told:
            return False
        before, last = min(self.windows[:-WINDOWS]), self.windows[-WINDOWS:]
        fastest = min(before, *last)
        return min(last) >= (1 - LEVEL) * before and max(last) <= (1 + 2 * LEVEL) * fastest
