"""Slower, level or faster: told by the turns alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.builds.gate import Gate, Side, Verdict, baseline_of, hold
from orchestrator.builds.intervals import Interval, interval_of
from orchestrator.storage import VerificationRow

STEADY = (0.0100, 0.0101, 0.0099, 0.0100, 0.0102)


def details(
    *tuned_s: float, reference_s: tuple[float, ...] = (), onnxruntime: str = "1.32.0"
) -> dict[str, Any]:
    return {
        "turns_s": {"tuned": list(tuned_s), "reference": list(reference_s)},
        "turns": len(tuned_s),
        "agree": True,
        "plan": "each task's best",
        "versions": {"tvm": "0.27.0", "onnxruntime": onnxruntime},
    }


def row(number: int, records_key: str, found: dict[str, Any], *, model_id: int = 1) -> VerificationRow:
    then = datetime(2026, 11, 20, tzinfo=UTC)
    return VerificationRow(
        number, None, model_id, "cpu", records_key, None, 0.01, 0.01, 0.0, 0.0, 3, 3, found, then
    )


def side(*tuned_s: float, **options: Any) -> Side:
    return Side.of(details(*tuned_s, **options))


@pytest.mark.parametrize(
    ("count", "rank"), [(1, 1), (3, 1), (5, 1), (6, 1), (8, 1), (9, 2), (12, 3), (17, 5), (20, 6), (30, 10)]
)
def test_an_interval_is_bounded_by_the_ranks_of_le_boudecs_table(count: int, rank: int) -> None:
    found = interval_of([float(value) for value in reversed(range(1, count + 1))])
    assert found == Interval(rank, (count + 1) / 2, count + 1 - rank)


def test_what_is_slower_with_all_its_turns_is_slower_by_more_than_is_allowed() -> None:
    found = hold(side(*STEADY), side(*(value * 1.08 for value in STEADY)), 0.03)
    assert found is not None
    assert found.verdict is Verdict.SLOWER
    assert found.change.least == pytest.approx(0.0099 * 1.08 / 0.0102 - 1)
    assert found.change.middle == pytest.approx(0.08)
    assert not found.by_ratio


def test_what_is_slower_by_less_than_is_allowed_is_level() -> None:
    later = side(*(value * 1.05 for value in STEADY))
    for allowed, verdict in ((0.0, Verdict.SLOWER), (0.02, Verdict.LEVEL)):
        found = hold(side(*STEADY), later, allowed)
        assert found is not None
        assert found.verdict is verdict


def test_what_overlaps_is_level_however_far_the_medians_are_apart() -> None:
    found = hold(side(*STEADY), side(0.0101, 0.0150, 0.0151, 0.0149, 0.0150), 0.03)
    assert found is not None
    assert found.change.middle == pytest.approx(0.5)
    assert found.verdict is Verdict.LEVEL
    # It passes, and one is told that it may be slower all the same.
    assert found.too_noisy
    steady = hold(side(*(0.01,) * 5), side(*(0.0101,) * 5), 0.03)
    assert steady is not None
    assert (steady.verdict, steady.too_noisy) == (Verdict.LEVEL, False)


def test_what_is_faster_with_all_its_turns_is_faster() -> None:
    found = hold(side(*STEADY), side(*(value * 0.9 for value in STEADY)), 0.03)
    assert found is not None
    assert found.verdict is Verdict.FASTER


def test_a_slow_machine_is_told_by_onnxruntime_beside_it() -> None:
    before = side(*STEADY, reference_s=(0.02,) * 5)
    slow = [value * 1.5 for value in STEADY]
    found = hold(before, side(*slow, reference_s=(0.03,) * 5), 0.03)
    assert found is not None
    assert (found.verdict, found.by_ratio) == (Verdict.LEVEL, True)
    # Another onnxruntime is no measure: it may be what changed.
    other = hold(before, side(*slow, reference_s=(0.03,) * 5, onnxruntime="1.33.0"), 0.03)
    assert other is not None
    assert (other.verdict, other.by_ratio) == (Verdict.SLOWER, False)


def test_fewer_than_three_turns_say_nothing() -> None:
    assert hold(side(0.01, 0.01), side(*STEADY), 0.03) is None
    assert hold(side(*STEADY), side(0.02), 0.03) is None


def test_turns_of_an_earlier_release_are_told_by_their_runs() -> None:
    runs = [0.010, 0.011, 0.012, 0.020, 0.021, 0.022, 0.030, 0.031, 0.032]
    assert Side.of({"times_s": {"tuned": runs}, "turns": 3}).tuned_s == (0.011, 0.021, 0.031)
    # It stored no number of turns, and took five.
    assert Side.of({"times_s": {"tuned": [0.01] * 10}}).tuned_s == (0.01,) * 5
    assert Side.of({"times_s": {"tuned": runs[:7]}, "turns": 3}).tuned_s == ()


def test_a_library_is_held_against_the_latest_other_one() -> None:
    earlier = [
        row(3, "new", details(*STEADY)),
        row(2, "old", details(*STEADY)),
        row(1, "older", details(*STEADY)),
    ]
    gate = Gate(0.03, earlier)
    slow = details(*(value * 1.2 for value in STEADY))
    held = gate.held(1, "new", slow)
    assert held is not None
    assert held.before.taken_at == earlier[1].created_at
    assert held.verdict is Verdict.SLOWER
    named = [baseline_of(earlier, key) for key in ("something else",)]
    assert named == [earlier[0]]


def test_with_no_other_library_it_is_held_against_itself() -> None:
    gate = Gate(0.03, [row(1, "new", details(*STEADY))])
    held = gate.held(1, "new", details(*STEADY))
    assert held is not None
    assert held.verdict is Verdict.LEVEL


def test_what_was_found_slower_is_no_measure_until_it_is_accepted() -> None:
    slow = details(*(value * 1.2 for value in STEADY))
    refused = row(2, "slow", {**slow, "slower": True})
    first = row(1, "first", details(*STEADY))
    again = Gate(0.03, [refused, first]).held(1, "next", slow)
    assert again is not None
    assert again.verdict is Verdict.SLOWER
    accepted = Gate(0.03, [row(3, "slow", slow), refused, first]).held(1, "next", slow)
    assert accepted is not None
    assert accepted.verdict is Verdict.LEVEL


def test_the_comparison_of_a_campaign_is_the_measure_where_it_is_named() -> None:
    slow = details(*(value * 1.2 for value in STEADY))
    earlier = [row(2, "slow", {**slow, "slower": True}), row(1, "first", details(*STEADY))]
    held = Gate(0.03, earlier, pinned=True).held(1, "next", slow)
    assert held is not None
    assert held.verdict is Verdict.LEVEL
    wrong = [row(3, "wrong", {**details(*STEADY), "agree": False}), *earlier]
    assert Gate(0.03, wrong, pinned=True).held(1, "next", slow) is None


def test_wrong_outputs_and_too_few_turns_are_no_measure() -> None:
    wrong = row(2, "wrong", {**details(*STEADY), "agree": False})
    short = row(1, "short", details(0.01))
    assert Gate(0.03, [wrong, short]).held(1, "new", details(*STEADY)) is None
