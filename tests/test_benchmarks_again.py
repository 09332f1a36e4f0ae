"""What the benchmarks work out that measure whether times come out the same again."""

from __future__ import annotations

import math

import pytest

from benchmarks import agreement, estimates, experience, repeatable, repeats
from benchmarks.agreement import Task, tau, winners
from benchmarks.estimates import Estimate, Part
from benchmarks.repeatable import Compared


def test_ranks_agree_fully_or_not_at_all_among_what_is_apart() -> None:
    same = Task("m", "t", 1, (1.0, 1.2, 1.5), (1.1, 1.3, 1.4))
    turned = Task("m", "t", 1, (1.0, 1.2, 1.5), (1.4, 1.3, 1.1))
    assert tau([same]) == (1.0, 3)
    assert tau([turned]) == (-1.0, 3)
    assert tau([same, turned]) == (0.0, 6)


def test_candidates_of_two_tasks_and_those_as_fast_are_no_pairs() -> None:
    near = Task("m", "t", 1, (1.0, 1.04, 1.06), (1.0, 1.3, 0.9))
    # 1.00 and 1.06 alone are apart by more than 5%, and they changed places.
    assert tau([near, Task("m", "u", 1, (5.0,), (6.0,))]) == (-1.0, 1)
    rank, pairs = tau([Task("m", "u", 1, (5.0,), (6.0,))])
    assert (math.isnan(rank), pairs) == (True, 0)


def test_a_winner_is_held_against_the_best_of_the_second_pass() -> None:
    won = Task("m", "won", 3, (1.0, 1.1), (1.01, 1.0))
    lost = Task("m", "lost", 1, (1.0, 1.1), (1.5, 1.0))
    found = winners([won, lost])
    assert found.near == 0.5
    assert found.lost == pytest.approx((3 * 0.01 + 0.5) / 4)


def test_the_table_of_agreement_has_a_line_for_each_model_and_one_for_all() -> None:
    tasks = [Task(name, "t", 1, (1.0, 1.2), (1.0, 1.3)) for name in ("one", "two")]
    lines = agreement.table(tasks).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| one", "| two", "| all"]
    assert "| 1.000 | 100% | 0.0% |" in lines[2]


def test_two_passes_agree_where_their_ratios_are_within_five_percent() -> None:
    def compared(ratio: float) -> Compared:
        return Compared((ratio, ratio, ratio), (1.0, 1.0, 1.0), ratio, ratio - 0.01, ratio + 0.01, "", 20.0)

    first = {"a.onnx": compared(0.90), "b.onnx": compared(1.00)}
    later = {"a.onnx": compared(0.94), "b.onnx": compared(1.06)}
    text = repeatable.table([first, later])
    assert "| a | 0.900 (0.890 to 0.910) | 0.940 (0.930 to 0.950) | 4.4% |" in text
    assert text.endswith("1 of 2 within 5%")


def test_a_kernel_without_a_record_counts_with_what_it_takes_inside() -> None:
    parts = (Part("tuned", 2, 0.004, 0.0055, 0.005, 0.006), Part("lent", 1, None, None, None, 0.002))
    found = Estimate("m", parts, 0.001, 0.010)
    assert (found.stored_s, found.expected_s) == pytest.approx((0.006, 0.0075))
    assert (found.again_s, found.inside_s) == pytest.approx((0.007, 0.008))
    assert "| m | 6 | 7.5 | 7 | 8 | 10 | 0.60 | 0.75 | 0.70 | 0.80 |" in estimates.table([found])
    assert "| tuned | 2 | 4.000 | 5.500 | 5.000 | 6.000 | 1.20 |" in estimates.table([found])


def test_passes_are_apart_by_the_figure_of_their_repeats() -> None:
    passes = [{0: (1.0, 3.0), 1: (2.0, 2.0)}, {0: (1.1, 2.9)}, {1: (4.0, 2.0)}]
    assert repeats.apart(passes, min) == pytest.approx([0.0, 0.1])
    assert repeats.apart(passes, repeats.FIGURES["mean"]) == pytest.approx([0.0, 0.5])
    assert repeats.row("least", [0.0, 0.1, 0.3]) == "| least | 3 | 10.0% | 33% | 33% | 67% |"


def test_each_place_in_a_measurement_is_held_against_its_least() -> None:
    assert repeats.in_place([(3.0, 1.0, 1.0), (2.0, 2.0, 1.0)]) == [[2.0, 3.0], [1.0, 2.0], [1.0, 1.0]]


def test_campaigns_are_held_against_each_other_after_as_many_trials() -> None:
    nothing = experience.Run(((0, 0.010), (40, 0.008), (100, 0.006)), 0.006)
    others = experience.Run(((0, 0.010), (20, 0.006), (200, 0.003)), 0.003)
    # A quarter, a half and all of the shorter one's hundred; what that ends with the other had in a fifth.
    cells = ["10, 6 | 0.600", "8, 6 | 0.750", "6, 6 | 1.000", "0.20", "0.500"]
    assert experience.row("m", [nothing], [others]) == f"| m | {' | '.join(cells)} |"
    assert experience.Run(((5, 0.010),), 0.010).after(4) == math.inf
