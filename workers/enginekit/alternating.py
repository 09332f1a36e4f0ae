"""Two processes that are timed in turns, a moment each, so that whatever the machine is like falls on both.

What a machine shares with others changes within tenths of a second. Two libraries that are timed for a
second each, one after the other, are timed on two machines; timed for some tenths of a second each, turn
by turn, they are timed on one (as in L. Bulej et al., Duet Benchmarking, ICPE 2020, where both run at once).
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from workers.messages import Baton

__all__ = ["ENDED", "Alternating"]

# How often a thread of TVM's pool looks for work before it sleeps (``TVM_THREAD_POOL_SPIN_COUNT``). TVM's
# own 300,000 take a tenth of a second, which is the other's turn by then; this takes some milliseconds, and
# is far more than what lies between two kernels.
_SPIN_COUNT = "5000"
# So long the other's threads may still look for work: onnxruntime's do for 43 ms after a run.
_PAUSE_SECONDS = 0.06
# A moment is so long, and of so many runs at least, after one that isn't counted; what takes long needs
# neither.
_MOMENT_SECONDS, _LEAST_RUNS, _LONG_SECONDS = 0.08, 3, 0.3
# Nothing takes less.
_TICK_SECONDS = 1e-7
#: What a process is told when it has all turns from then on: the other has ended.
ENDED = b"e"
_GO = b"g"

_Run = Callable[[int, int], Sequence[float]]


class Alternating:
    """This process's turns; entered, it has the first of them.

    Parameters
    ----------
    baton : Baton or None
        None where there is no other: then all turns are its own.
    """

    def __init__(self, baton: Baton | None) -> None:
        self._baton = baton
        self._alone = self._held = baton is None
        self._mine = self._other = -1
        self._one_s = 0.0
        self._cores: set[int] = set()

    def __enter__(self) -> Alternating:
        if self._baton is not None:
            # TVM reads it when its first kernel runs.
            os.environ["TVM_THREAD_POOL_SPIN_COUNT"] = _SPIN_COUNT
            # Opened for both, a pipe waits for nobody, and what is in it is kept while it is open.
            self._mine = os.open(self._baton.mine, os.O_RDWR)
            self._other = os.open(self._baton.other, os.O_RDWR)
            self._held = self._baton.first
            self.take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._cores:
            # What this process loads next would have its threads on these alone.
            os.sched_setaffinity(0, self._cores)
        if self._baton is not None:
            os.write(self._other, ENDED)
            os.close(self._mine)
            os.close(self._other)

    def take(self) -> None:
        """Wait for a turn. The other ends within the limit of its call, and whoever asked says so then."""
        if self._held:
            return
        self._alone = os.read(self._mine, 1) == ENDED
        self._held = True
        time.sleep(_PAUSE_SECONDS)

    def pass_on(self) -> None:
        """Let the other have its turn, where there is one."""
        if not self._alone:
            self._held = False
            os.write(self._other, _GO)

    def timed(self, run: _Run, *, bound: bool = False) -> _Run:
        """Have whatever is timed be timed in turns; see :func:`.settling.settled_times` for `run`.

        The threads that it runs on are there by then. With `bound`, each of them is bound to a core.
        """
        if self._baton is None:
            return run
        if bound:
            self._cores = _keep_apart()

        def in_turn(count: int, number: int) -> Sequence[float]:
            self.take()
            if not self._alone and self._one_s < _LONG_SECONDS:
                # The caches are the other's, and threads sleep.
                (self._one_s,) = run(1, number)
                of_a_moment = math.ceil(_MOMENT_SECONDS / max(self._one_s * number, _TICK_SECONDS))
                count = max(count, _LEAST_RUNS, of_a_moment)
            times = run(count, number)
            self.pass_on()
            return times

        return in_turn


def _keep_apart() -> set[int]:
    """Keep this thread off the cores that other threads of its process are bound to; return those it had.

    TVM binds its workers and leaves the thread that calls it free. Where that wakes up on a worker's core, as
    it may in every turn, both stay there for as long as the turn is, and take twice as long.
    """
    with contextlib.suppress(OSError):
        mine = os.sched_getaffinity(0)
        others = [os.sched_getaffinity(int(name)) for name in os.listdir("/proc/self/task")]
        free = mine - {core for cores in others if len(cores) == 1 for core in cores}
        if free and free != mine:
            os.sched_setaffinity(0, free)
            return mine
    return set()
