"""How often what is compared is run: decided by times alone, on a clock that is put by hand."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from orchestrator.builds import turns
from orchestrator.builds.others import Others, cpu_seconds
from orchestrator.builds.pace import AGAIN, LEAST_TURNS, REPEATS, SIDE_SECONDS, THOROUGH_AGAIN, TURNS, Pace
from orchestrator.builds.turns import Turns, take_turns
from orchestrator.builds.untuned import UntunedTimes, earlier_untuned
from orchestrator.errors import EngineTimeoutError
from orchestrator.storage import VerificationRow
from orchestrator.toolbox import Toolbox
from tests.kit.finished import TimedAtOnce
from workers.messages import (
    CompiledModel,
    Endpoint,
    ModelRun,
    ModelTiming,
    PreparedModel,
    TensorSpec,
    WarmUp,
)

INPUT = TensorSpec("x", (1,), "float32")
MODEL = PreparedModel("0" * 64, "model", b"", (INPUT,), (INPUT,))
TUNED, UNTUNED = CompiledModel(b"tuned", None, (), ()), CompiledModel(b"untuned", None, (), ())


class Machine(TimedAtOnce):
    """A toolbox whose libraries take the seconds they are said to, on a clock of its own."""

    def __init__(
        self,
        tuned_s: float,
        untuned_s: float,
        reference_s: float = 0.01,
        slow: Sequence[tuple[float, float]] = (),
    ) -> None:
        self.seconds = {b"tuned": tuned_s, b"untuned": untuned_s}
        self.reference_s = reference_s
        #: From and to when everything takes one and a half times as long.
        self.slow = slow
        self.asked: list[dict[str, float]] = []
        self.at = 0.0
        self.ends_at = float("inf")
        self.moving_s = self.busy = 0.0
        self.ran: dict[bytes, float] = {b"tuned": 0.0, b"untuned": 0.0}

    def now(self) -> float:
        return self.at

    def factor(self) -> float:
        return 1.5 if any(begins <= self.at < ends for begins, ends in self.slow) else 1.0

    def others(self) -> float:
        return self.busy if any(begins <= self.at < ends for begins, ends in self.slow) else 0.0

    def known_kernel_s(self, threads: int) -> float:
        seconds = 0.002 * self.factor()
        self.at += 0.3
        return seconds

    @contextlib.contextmanager
    def no_later_than(self, moment: float) -> Iterator[None]:
        self.ends_at = moment
        yield
        self.ends_at = float("inf")

    def run(
        self,
        compiled: CompiledModel,
        inputs: Mapping[str, Any],
        target: str,
        repeats: int = 0,
        endpoint: object = None,
        settle_s: float = 0.0,
        least_s: float = 0.0,
    ) -> ModelRun:
        one_s = self.seconds[compiled.library] * self.factor()
        if repeats and compiled is TUNED:
            self.asked.append({"repeats": repeats, "settle_s": settle_s, "least_s": least_s})
        repeats = max(repeats, math.ceil(least_s / one_s))
        # At worst, all that it may take to settle goes into that.
        taken_s = min((1 + repeats) * one_s + settle_s, self.ends_at - self.at)
        self.at += taken_s
        self.ran[compiled.library] += taken_s
        if self.at >= self.ends_at:
            self.ends_at = float("inf")
            raise EngineTimeoutError("killed")
        return ModelRun((), (one_s,) * repeats, one_s, WarmUp(settled=one_s != self.moving_s))

    def reference_timing(
        self,
        model: object,
        inputs: object,
        threads: int,
        repeats: int,
        settle_s: float,
        least_s: float,
    ) -> ModelTiming:
        one_s = self.reference_s * self.factor()
        repeats = max(repeats, math.ceil(least_s / one_s))
        self.at += (1 + repeats) * one_s + settle_s
        return ModelTiming((one_s,) * repeats)

    def turns(
        self,
        untuned: CompiledModel | UntunedTimes = UNTUNED,
        ends_at: float = float("inf"),
        limit_at: float = float("inf"),
        endpoint: Endpoint | None = None,
        side_s: float = SIDE_SECONDS,
        again: int = THOROUGH_AGAIN,
    ) -> Turns:
        return take_turns(
            cast("Toolbox", self),
            MODEL,
            {},
            "llvm",
            2,
            tuned=TUNED,
            tuned_one_s=self.seconds[b"tuned"],
            untuned=untuned,
            reference_one_s=self.reference_s,
            endpoint=endpoint,
            others=self.others,
            pace=Pace(ends_at, limit_at, self.now, side_s, again),
        )


def counts(found: Turns) -> tuple[int, int, int]:
    return tuple(found.runs[name] for name in ("untuned", "tuned", "reference"))  # type: ignore[return-value]


def test_all_are_run_in_each_of_five_turns_where_nobody_waits() -> None:
    machine = Machine(0.01, 0.4)
    found = machine.turns(side_s=1.0)
    assert (found.taken, counts(found), found.untuned_note) == (TURNS, (10, 500, 500), "")
    assert machine.asked == [{"repeats": REPEATS, "settle_s": 2.0, "least_s": 1.0}] * TURNS
    assert (found.note, found.left_out, found.slow) == ("", 0, 0)


def test_of_many_runs_a_few_times_of_each_turn_are_kept_and_the_median_is_of_all() -> None:
    found = Machine(0.001, 0.4).turns(side_s=1.0)
    assert found.runs["tuned"] == 5000
    assert len(found.times["tuned"]) == 100
    assert found.medians == {"tuned": [0.001] * TURNS, "reference": [0.01] * TURNS}


def test_what_was_timed_in_a_slow_moment_is_timed_again_and_left_out() -> None:
    machine = Machine(0.01, 0.02, slow=[(10.0, 16.0)])
    found = machine.turns(side_s=1.0)
    assert found.taken == TURNS
    assert found.medians == {"tuned": [0.01] * TURNS, "reference": [0.01] * TURNS}
    assert (found.left_out, found.slow) == (2, 0)
    assert found.note == (
        "2 turns in slow moments left out (a known kernel took up to 1.50 times its least, other processes "
        "up to 0.0 cores)"
    )


def test_where_it_is_slow_for_good_what_was_least_disturbed_counts_and_it_is_said() -> None:
    machine = Machine(0.01, 0.02, slow=[(1.0, 1e9)])
    found = machine.turns(side_s=1.0)
    # Before it began, the known kernel was timed, and nothing else.
    assert (found.taken, found.slow, found.left_out) == (TURNS, TURNS, TURNS)
    assert found.note.startswith(
        "5 turns in slow moments left out; 5 of the 5 that count in slow moments, for there were no others"
    )


def test_at_a_campaigns_end_a_single_turn_is_taken_again() -> None:
    found = Machine(0.01, 0.02, slow=[(1.0, 1e9)]).turns(again=AGAIN)
    assert (len(found.all), found.taken) == (2 * (TURNS + AGAIN), TURNS)


def test_a_turn_counts_for_both_or_for_neither() -> None:
    # Only onnxruntime was timed in it, and the known kernel after it.
    machine = Machine(0.01, 0.02, slow=[(3.3, 6.4)])
    found = machine.turns(side_s=1.0)
    assert (found.taken, found.left_out) == (TURNS, 1)
    assert len(machine.asked) == TURNS + 1
    assert found.ratios == [1.0] * TURNS


def test_the_ratio_of_a_turn_is_that_of_its_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(0.01, 0.02, reference_s=0.02)
    assert machine.turns().ratios == [0.5] * TURNS
    monkeypatch.setattr(turns, "paired_ratio", lambda *_: 0.4)
    assert machine.turns().ratios == [0.4] * TURNS
    # Where there was no time for more than a run of the library, nothing is beside onnxruntime's turns.
    assert Machine(40.0, 0.5).turns(ends_at=10.0, limit_at=85.0).ratios == []


def test_what_was_timed_while_others_took_a_core_is_timed_again() -> None:
    machine = Machine(0.01, 0.02, slow=[(6.3, 6.4)])
    machine.busy = 0.9
    found = machine.turns(side_s=1.0)
    assert (found.taken, found.left_out, found.slow) == (TURNS, 1, 0)
    assert "other processes up to 0.9 cores" in found.note


def test_what_others_took_is_what_was_busy_and_was_not_this_program() -> None:
    readings = iter([(100.0, 10.0), (103.0, 11.0), (103.0, 11.0)])
    moments = iter([0.0, 2.0, 2.0])
    others = Others(lambda: next(moments), lambda: next(readings))
    assert others.cores() == 1.0
    assert others.cores() == 0.0


def test_a_process_of_this_program_is_none_of_the_others() -> None:
    whole, own = cpu_seconds()
    done = subprocess.run([sys.executable, "-c", "sum(range(20_000_000))"], check=True)
    assert done.returncode == 0
    whole_after, own_after = cpu_seconds()
    assert whole_after - whole >= own_after - own - 0.1
    assert own_after - own > 0.1


def test_turns_are_not_taken_again_when_the_time_is_over() -> None:
    machine = Machine(0.01, 0.02, slow=[(1.0, 1e9)])
    found = machine.turns(ends_at=20.0, limit_at=60.0)
    assert machine.at <= 60.0
    assert LEAST_TURNS <= found.taken <= TURNS
    assert found.slow == found.taken


def test_times_that_still_moved_are_said_to() -> None:
    machine = Machine(0.01, 0.02)
    machine.moving_s = 0.01
    assert machine.turns().note == "times of the tuned library still moved in 5"


def test_on_a_board_nothing_is_known_of_slow_minutes_of_this_machine() -> None:
    machine = Machine(0.01, 0.02, slow=[(1.0, 1e9)])
    found = machine.turns(endpoint=Endpoint("10.0.0.9", 9190, "board", "cpu"))
    assert (found.taken, found.left_out, found.slow, found.known_least_s) == (TURNS, 0, 0, 0.0)


@pytest.mark.parametrize(("untuned_s", "runs"), [(2.0, 2), (29.0, 2), (37.0, 1), (59.0, 1)])
def test_a_dear_untuned_library_is_run_once_or_twice_within_a_minute_and_it_is_said(
    untuned_s: float, runs: int
) -> None:
    machine = Machine(0.3, untuned_s)
    found = machine.turns()
    assert found.times["untuned"] == [untuned_s] * runs
    assert machine.ran[b"untuned"] <= 60.0
    assert found.untuned_note == "run once or twice, for a run of it is long"
    assert (found.taken, found.runs["tuned"]) == (TURNS, TURNS * REPEATS)


def test_one_that_takes_more_than_a_minute_is_ended_once_and_has_no_time() -> None:
    machine = Machine(0.3, 500.0)
    found = machine.turns()
    assert found.times["untuned"] == []
    assert machine.ran[b"untuned"] == 60.0
    assert found.untuned_note == "no run of it ended within 60 s"


def test_what_is_known_of_it_is_not_run_again() -> None:
    machine = Machine(0.3, 37.0)
    found = machine.turns(UntunedTimes((36.5,), "before the tuning, for a run of it is long"))
    assert machine.ran[b"untuned"] == 0.0
    assert found.times["untuned"] == [36.5]
    assert found.untuned_note.startswith("before the tuning")


@pytest.mark.parametrize("tuned_s", [0.01, 0.5, 2.0, 8.0])
@pytest.mark.parametrize("reference_s", [0.01, 0.3])
@pytest.mark.parametrize("left_s", [-20.0, 5.0, 30.0, 300.0])
@pytest.mark.parametrize("side_s", [0.25, 1.0])
def test_turns_and_runs_are_as_many_as_fit_until_the_limit(
    tuned_s: float, reference_s: float, left_s: float, side_s: float
) -> None:
    machine = Machine(tuned_s, 0.5, reference_s)
    limit_at = left_s + 75.0
    found = machine.turns(ends_at=left_s, limit_at=limit_at, side_s=side_s)
    assert machine.at <= limit_at
    assert 1 <= found.taken <= TURNS
    assert len(found.times["tuned"]) >= 1
    assert len(found.times["reference"]) >= found.taken
    if left_s == 300.0:
        assert found.taken == TURNS
    if left_s < 0:
        assert found.taken <= LEAST_TURNS


def test_a_tuned_library_that_is_too_slow_to_be_run_again_is_worth_the_run_for_its_outputs() -> None:
    machine = Machine(40.0, 0.5)
    found = machine.turns(ends_at=10.0, limit_at=85.0)
    assert found.times["tuned"] == [40.0]
    assert machine.ran[b"tuned"] == 0.0
    assert machine.at < 85.0


def test_a_dear_figure_of_an_earlier_comparison_is_taken_for_the_same_library_alone() -> None:
    same = {"engine": "1+nchw", "versions": {"tvm": "0.27"}}
    details = {
        "untuned_note": "before the tuning, for a run of it is long",
        "untuned_of": dict(same),
        "times_s": {"untuned": [36.5]},
    }
    row = VerificationRow(
        1, 1, 1, "cpu", "key", 36.5, 1.0, 0.5, 0.0, 0.0, 1, 1, details, datetime.now(tz=UTC)
    )
    assert earlier_untuned(row, same) == UntunedTimes((36.5,), "before the tuning, for a run of it is long")
    assert earlier_untuned(row, {**same, "engine": "1+nhwc"}) is None
    assert earlier_untuned(row, {**same, "versions": {"tvm": "0.28"}}) is None
    assert earlier_untuned(None, same) is None
