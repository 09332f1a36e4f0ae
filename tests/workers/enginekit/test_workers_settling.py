"""When times have settled, and for how long is timed: told by a process that is played, run by run."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest

from workers.enginekit.settling import settled_times
from workers.messages import WarmUp


class Process:
    """Says what each of its runs takes, by how many there were and what they took together."""

    def __init__(self, takes: Callable[[int, float], float]) -> None:
        self._takes = takes
        self.runs, self.seconds = 0, 0.0

    def run(self, count: int, number: int) -> list[float]:
        return [statistics.fmean(self._one() for _ in range(number)) for _ in range(count)]

    def _one(self) -> float:
        taken = self._takes(self.runs, self.seconds)
        self.runs += 1
        self.seconds += taken
        return taken

    def timed(self, **asked: float) -> tuple[tuple[float, ...], WarmUp]:
        (first_s,) = self.run(1, 1)
        wanted = {"repeats": 5, "settle_s": 2.0, "least_s": 1.0, **asked}
        return settled_times(self.run, first_s, **wanted)  # type: ignore[arg-type]


def test_what_is_level_from_the_start_is_timed_for_a_second_after_a_moment() -> None:
    process = Process(lambda *_: 0.004)
    times, warm_up = process.timed()
    assert warm_up.settled
    assert warm_up.seconds < 0.25
    assert set(times) == {0.004}
    assert 1.0 <= sum(times) < 1.1


@pytest.mark.parametrize("left_s", [0.1, 0.4, 0.9])
def test_a_state_that_is_left_at_once_after_many_runs_is_in_none_of_the_times(left_s: float) -> None:
    process = Process(lambda _, spent: 0.0054 if spent < left_s else 0.0031)
    times, warm_up = process.timed()
    assert warm_up.settled
    assert statistics.median(times) == 0.0031
    assert sum(times) >= 1.0
    # What is left of it counts for nothing.
    assert times.count(0.0054) < len(times) / 4


def test_times_that_fall_little_by_little_are_waited_for() -> None:
    process = Process(lambda run, _: 0.003 * (1 + 2 ** -(run / 100)))
    times, warm_up = process.timed()
    assert warm_up.settled
    assert statistics.median(times) < 1.03 * 0.003


def test_times_that_never_become_level_are_said_to_move_after_the_time_for_warming_up() -> None:
    process = Process(lambda run, _: 0.003 * 1.0005**run)
    times, warm_up = process.timed()
    assert not warm_up.settled
    assert 1.9 <= warm_up.seconds <= 2.0
    assert 1.0 <= sum(times) < 1.1


@pytest.mark.parametrize("one_s", [0.4, 1.5, 30.0])
def test_a_run_that_takes_long_is_repeated_as_often_as_asked_and_warmed_up_within_the_time(
    one_s: float,
) -> None:
    process = Process(lambda *_: one_s)
    times, warm_up = process.timed()
    assert len(times) == 5
    assert warm_up.settled
    assert warm_up.seconds == 0.0  # the first run was that


def test_runs_that_are_shorter_than_the_clock_tells_are_averaged() -> None:
    process = Process(lambda *_: 2e-6)
    times, _ = process.timed()
    assert min(times) == pytest.approx(2e-6) == max(times)
    assert len(times) <= 5200
    assert process.seconds == pytest.approx(1.2, abs=0.1)


def test_without_being_asked_nothing_is_warmed_up_and_as_many_are_timed_as_asked() -> None:
    process = Process(lambda run, _: 1.0 if run == 0 else 1e-5)
    times, warm_up = process.timed(repeats=3, settle_s=0.0, least_s=0.0)
    assert times == (1e-5,) * 3
    assert warm_up == WarmUp(0, 0.0, settled=True, windows=(1e-5,))


def test_as_many_as_were_asked_for_are_timed_once_it_has_settled() -> None:
    process = Process(lambda _, spent: 0.0054 if spent < 0.2 else 0.0031)
    times, warm_up = process.timed(repeats=3, least_s=0.0)
    assert times == (0.0031,) * 3
    assert warm_up.settled
    assert 0.2 < warm_up.seconds < 1.0


def test_a_first_run_that_nobody_timed_is_timed_here() -> None:
    process = Process(lambda *_: 0.01)
    times, _ = settled_times(process.run, 0.0, repeats=2)
    assert times == (0.01, 0.01)
    assert process.runs == 3
