"""How much of this machine's cores others take, while something is timed on them.

Another process on one of two cores leaves the other to both threads of a model, which then takes up to twice
as long, evenly: nothing of that shows in its times. How nice that process is doesn't matter where the kernel
shares the cores among sessions first (``sched_autogroup_enabled``).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import psutil

__all__ = ["Others", "cpu_seconds"]

# The kernel counts in hundredths of a second.
_LEAST_SECONDS = 0.1


def cpu_seconds() -> tuple[float, float]:
    """Return the seconds for which all cores were busy so far, and this program's part.

    What a hypervisor gave to others while something here was to run counts as busy. This program's part is
    that of this process and of all that it started, those that have ended among them.
    """
    times = psutil.cpu_times()
    whole = sum(times) - times.idle - getattr(times, "iowait", 0.0)
    # What runs in a guest of this machine is in its users' time as well.
    whole -= getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    me = psutil.Process()
    own = 0.0
    for process in [me, *me.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            own += sum(process.cpu_times()[:4])
    return whole, own


class Others:
    """Says how many cores others took on average since it was last asked.

    Parameters
    ----------
    now, used : callable, optional
        Seconds, steady, and :func:`cpu_seconds`.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        used: Callable[[], tuple[float, float]] = cpu_seconds,
    ) -> None:
        self._now, self._used = now, used
        self._then, self._before = now(), used()

    def cores(self) -> float:
        """Return it; 0 where too little time has passed to tell."""
        now, used = self._now(), self._used()
        passed = now - self._then
        others = (used[0] - self._before[0]) - (used[1] - self._before[1])
        self._then, self._before = now, used
        return max(0.0, others / passed) if passed > _LEAST_SECONDS else 0.0
