"""Running a model until its times have settled, and for as long as it is to be timed. It is told how to run.

The first runs of a process are not what follows: memory is touched for the first time, threads are not yet
where they stay, a clock that was slow is raised. What was slow may become quick at once, after many runs
that were all alike. So it goes on until what it took last, for as long as it is to be timed, is level in
itself; all before that was warming up.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workers.messages import WarmUp

__all__ = ["LEVEL", "settled_times"]

#: Times are level where the medians of their two halves are apart by no more than this part of them; twice as
#: much where there are few.
LEVEL = 0.03
_FEW = 20
#: Runs are looked at in windows of so many seconds, or of one run where that takes longer.
WINDOW_SECONDS = 0.04
#: For so long nothing counts, whatever it looks like.
WARM_SECONDS = 0.15
# So long it is looked at whether times are level, where no time was asked for.
_LOOK_SECONDS = 0.3
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
    if settle_s and not least_s:
        # So few runs as were asked for don't tell whether they are level: that has to be seen before them.
        ran = [0, 0.0]

        def warming(count: int, each: int) -> Sequence[float]:
            times = run(count, each)
            ran[0] += count * each
            ran[1] += sum(times) * each
            return times

        look_s = min(_LOOK_SECONDS, settle_s / 2)
        _, before = settled_times(
            warming, first_s, repeats=1, number=number, settle_s=settle_s, least_s=look_s
        )
        return tuple(run(repeats, number)), WarmUp(int(ran[0]), ran[1], before.settled)
    windows: list[_Window] = []
    one_s, spent_s, counted = first_s, first_s if settle_s else 0.0, 0
    while True:
        one_s = max(one_s, _TICK_SECONDS)
        each = max(number, math.ceil(_LEAST_SECONDS / one_s)) if least_s else number
        window = _Window(run(_count(one_s * each, repeats, settle_s, least_s), each), each)
        windows.append(window)
        one_s, spent_s = statistics.median(window.times), spent_s + window.seconds
        if spent_s < min(WARM_SECONDS, settle_s / 2):
            counted = len(windows)
            continue
        kept = windows[counted:]
        # The first of them may have become one too many.
        while len(kept) > 1 and _enough(kept[1:], repeats, least_s):
            kept = kept[1:]
        counted = len(windows) - len(kept)
        if not _enough(kept, repeats, least_s):
            continue
        times = tuple(one for window in kept for one in window.times)
        warm = windows[:counted]
        runs, seconds = sum(one.runs for one in warm), sum(one.seconds for one in warm)
        level = not settle_s or _level(times)
        if level or first_s + seconds + window.seconds > settle_s:
            medians = tuple(statistics.median(one.times) for one in windows)
            return times, WarmUp(runs, seconds, level, medians)


@dataclass(frozen=True)
class _Window:
    """Runs one after the other: as many times, each the mean of a number of runs."""

    times: Sequence[float]
    number: int

    @property
    def runs(self) -> int:
        return len(self.times) * self.number

    @property
    def seconds(self) -> float:
        return sum(self.times) * self.number


def _count(value_s: float, repeats: int, settle_s: float, least_s: float) -> int:
    """Say how many times a window is of; without warming up, there is one for all."""
    if settle_s:
        return max(1, int(WINDOW_SECONDS / value_s))
    return max(repeats, math.ceil(least_s / value_s), 1)


def _enough(windows: Sequence[_Window], repeats: int, least_s: float) -> bool:
    return (
        sum(len(one.times) for one in windows) >= repeats and sum(one.seconds for one in windows) >= least_s
    )


def _level(times: Sequence[float]) -> bool:
    if len(times) < 2:
        return True
    half = len(times) // 2
    first, second = statistics.median(times[:half]), statistics.median(times[-half:])
    return abs(first - second) <= (LEVEL if len(times) >= _FEW else 2 * LEVEL) * min(first, second)
