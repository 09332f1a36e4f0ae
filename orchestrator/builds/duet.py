"""Two processes on this machine's cores, timed in turns of some tenths of a second.

How their turns are taken is said in :mod:`workers.enginekit.alternating`; here is who hands them the baton,
and what their times have to do with each other.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.toolbox import Toolbox
from workers.clients.turns import WAIT_SECONDS, cores_in_use, turn
from workers.enginekit.alternating import ENDED
from workers.messages import Baton, ModelRun, ModelTiming, WarmUp

__all__ = ["LEAST_PAIRS", "duet", "paired_ratio"]

#: With fewer moments that both were timed in, their medians say more.
LEAST_PAIRS = 3

First = TypeVar("First", ModelRun, ModelTiming)
Second = TypeVar("Second", ModelRun, ModelTiming)


def duet(
    tools: Toolbox,
    begin_first: Callable[..., Future[First]],
    begin_second: Callable[..., Future[Second]],
) -> tuple[First, Second]:
    """Time two things in turns, and return what came of both.

    Parameters
    ----------
    begin_first, begin_second : callable
        Begin to time one, in a process of its own, with what it is to take turns by (`baton`); the first has
        the first turn. Both have all cores.

    Raises
    ------
    EngineError
        What either raised; the other has ended by then.
    """
    with turn(cores_in_use(0), tools.seconds_left(WAIT_SECONDS)), _pipes() as (here, there):
        first = begin_first(baton=Baton(*here, first=True))
        # One that fails tells nobody: whoever waits for it would do so until its own limit.
        first.add_done_callback(lambda _: _tell(there[0]))
        try:
            second = begin_second(baton=Baton(*there, first=False))
        except BaseException:
            _tell(here[0])
            wait([first])
            raise
        second.add_done_callback(lambda _: _tell(here[0]))
        both: tuple[Future[Any], ...] = (first, second)
        wait(both)
        return first.result(), second.result()


def paired_ratio(ours: WarmUp, theirs: WarmUp) -> float | None:
    """Return what one takes as a part of what the other does: the median of the moments that both had.

    A moment that one takes to warm up, or in which its times move, is one of the machine's as well, and falls
    on both; only the first of all is left out.

    Returns
    -------
    float or None
        None where they have fewer than :data:`LEAST_PAIRS` in common.
    """
    pairs = list(zip(ours.windows, theirs.windows, strict=False))[1:]
    ratios = [mine / other for mine, other in pairs if other]
    return statistics.median(ratios) if len(ratios) >= LEAST_PAIRS else None


@contextlib.contextmanager
def _pipes() -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Make two named pipes, and hold them: what is told before the other listens is to be there still."""
    with contextlib.ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="tunefleet-")))
        paths = [str(folder / name) for name in ("first", "second")]
        for path in paths:
            os.mkfifo(path)
            held.callback(os.close, os.open(path, os.O_RDWR))
        yield (paths[0], paths[1]), (paths[1], paths[0])


def _tell(pipe: str) -> None:
    """Say that the other has ended; where nobody can be told any more, nobody waits."""
    with contextlib.suppress(OSError):
        file = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(file, ENDED)
        finally:
            os.close(file)
