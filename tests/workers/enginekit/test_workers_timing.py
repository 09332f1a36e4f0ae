"""How often a candidate is called, by what the first look at it took."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from workers.enginekit.timing import FAR_BEHIND, timed
from workers.messages import EvaluatorConfig


@dataclass
class Steady:
    """Stands in for a library on a device: each call takes as long, and TVM's evaluator counts them."""

    seconds: float
    calls: int = 0
    asked: list[tuple[int, int, float]] = field(default_factory=list)

    def time_evaluator(self, entry: str, device: Any, number: int, repeat: int, min_repeat_ms: int) -> Any:
        self.asked.append((number, repeat, min_repeat_ms))

        def evaluate(*arguments: Any) -> SimpleNamespace:
            self.calls += 1
            for _ in range(repeat):
                # As ``WrapTimeEvaluator`` does in TVM's ``src/runtime/timer.cc``.
                count, took = number, 0.0
                while True:
                    if took:
                        count = math.ceil(max(min_repeat_ms / (took / count) + 1, count * 1.618))
                    self.calls += count
                    took = count * self.seconds * 1e3
                    if took >= min_repeat_ms:
                        break
            return SimpleNamespace(results=(self.seconds,) * repeat)

        return evaluate


EVALUATOR = EvaluatorConfig(number=3, repeat=2, min_repeat_ms=100, timeout_s=20)


@pytest.mark.parametrize("seconds", [3e-6, 1e-3, 3.4e-2])
def test_each_repeat_is_long_enough_at_the_first_attempt(seconds: float) -> None:
    library = Steady(seconds)
    assert timed(library, "main", None, [], EVALUATOR).times == (seconds, seconds)
    number, repeat, least = library.asked[-1]
    assert (repeat, least) == (2, 100)
    assert 0.1 <= number * seconds <= 0.12 + seconds


def test_calls_are_never_fewer_than_asked_for() -> None:
    library = Steady(1e-3)
    timed(library, "main", None, [], EvaluatorConfig(number=500, repeat=1, min_repeat_ms=100, timeout_s=20))
    assert library.asked[-1][0] == 500


def test_without_a_least_time_only_what_is_asked_for_is_called() -> None:
    library = Steady(1e-3)
    timed(library, "main", None, [], EvaluatorConfig(number=3, repeat=1, min_repeat_ms=0, timeout_s=20))
    assert library.calls == 1 + 3


def test_what_is_far_behind_is_looked_at_three_times_and_no_more() -> None:
    library = Steady(1e-3)
    timing = timed(library, "main", None, [], EVALUATOR, best_known_s=0.9e-3 / FAR_BEHIND)
    assert timing.stopped
    assert len(timing.times) == 3
    near = timed(library, "main", None, [], EVALUATOR, best_known_s=1.1e-3 / FAR_BEHIND)
    assert not near.stopped
    assert len(near.times) == 2
