"""Two things that are timed in turns: who has the baton, and what comes of it. Processes are threads here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import pytest

from orchestrator.builds.duet import duet, paired_ratio
from orchestrator.errors import EngineError
from orchestrator.toolbox import Toolbox
from tests.kit.finished import TimedAtOnce
from workers.enginekit.alternating import Alternating
from workers.messages import Baton, ModelTiming, WarmUp

TOOLS = cast("Toolbox", TimedAtOnce())


@pytest.fixture(autouse=True)
def _environment_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back what a process of its own would take with it."""
    monkeypatch.setenv("TVM_THREAD_POOL_SPIN_COUNT", "")


class Side:
    """What is timed so often: each time it says so, and whether it was alone."""

    said: Sequence[str]
    busy = threading.Lock()

    def __init__(self, name: str, windows: int, said: list[str], error: Exception | None = None) -> None:
        self.name, self.windows, self.said, self.error = name, windows, said, error

    def time(self, baton: Baton) -> ModelTiming:
        with Alternating(baton) as turns:
            run = turns.timed(self._run)
            for _ in range(self.windows):
                run(3, 1)
            if self.error is not None:
                raise self.error
        return ModelTiming((1.0,) * self.windows)

    def _run(self, count: int, number: int) -> list[float]:
        assert self.busy.acquire(blocking=False), "both at once"
        if count > 1:
            cast("list[str]", self.said).append(self.name)
        self.busy.release()
        return [1.0] * count


def timed(*sides: Side) -> tuple[Any, Any]:
    with ThreadPoolExecutor(2) as pool:

        def begin(side: Side) -> Callable[..., Future[ModelTiming]]:
            return lambda baton: pool.submit(side.time, baton)

        first, second = sides
        return duet(TOOLS, begin(first), begin(second))


def test_both_have_turns_until_one_has_enough_and_then_the_other_goes_on_alone() -> None:
    said: list[str] = []
    ours, theirs = timed(Side("a", 3, said), Side("b", 5, said))
    assert "".join(said) == "abababbb"
    assert (len(ours.times), len(theirs.times)) == (3, 5)


@pytest.mark.parametrize("which", [0, 1])
def test_one_that_fails_leaves_the_other_alone_and_is_raised_when_that_has_ended(which: int) -> None:
    said: list[str] = []
    sides = [Side("a", 4, said), Side("b", 4, said)]
    sides[which].windows, sides[which].error = 1, EngineError("it crashed")
    with pytest.raises(EngineError, match="it crashed"):
        timed(*sides)
    assert sorted(said) == sorted("aaaab" if which else "abbbb")


def test_one_that_dies_without_a_word_is_waited_for_no_more() -> None:
    said: list[str] = []
    died: Future[ModelTiming] = Future()
    died.set_exception(EngineError("it was killed"))
    with ThreadPoolExecutor(1) as pool, pytest.raises(EngineError, match="it was killed"):
        duet(TOOLS, lambda baton: died, lambda baton: pool.submit(Side("b", 2, said).time, baton))
    assert said == ["b", "b"]


def test_one_that_can_not_be_begun_ends_the_other_first() -> None:
    said: list[str] = []

    def refused(baton: Baton) -> Future[ModelTiming]:
        raise EngineError("no such engine")

    with ThreadPoolExecutor(1) as pool, pytest.raises(EngineError, match="no such engine"):
        duet(TOOLS, lambda baton: pool.submit(Side("a", 2, said).time, baton), refused)
    assert said == ["a", "a"]


def test_a_ratio_is_that_of_the_moments_both_have() -> None:
    # The first is left out, and the machine slowed down at the fourth.
    ours = WarmUp(windows=(9.0, 1.1, 1.0, 2.0, 2.0))
    theirs = WarmUp(windows=(2.0, 2.0, 2.0, 4.0))
    assert paired_ratio(ours, theirs) == pytest.approx(0.5)


def test_too_few_moments_have_no_ratio() -> None:
    assert paired_ratio(WarmUp(windows=(1.0,) * 9), WarmUp(windows=(1.0,) * 3)) is None
    assert paired_ratio(WarmUp(), WarmUp()) is None
