"""When tuning has to end, so that a campaign keeps its time: arithmetic, on a clock that stands still."""

from __future__ import annotations

import contextlib
import itertools
import math

from orchestrator.builds.costs import Costs, closing_seconds
from orchestrator.campaigns.running.clock import LEAST_TUNED_SECONDS, SLACK_SECONDS, CampaignClock


class Hand:
    """A clock that is put by hand."""

    def __init__(self, now: float = 0.0) -> None:
        self.at = now

    def __call__(self) -> float:
        return self.at


def clock(time_s: float | None, *, had_s: float = 0.0, now: float = 1000.0) -> CampaignClock:
    """A clock of a run that began at 1000 s."""
    return CampaignClock(time_s, had_s, 1000.0, Hand(now))


def test_tuning_ends_early_enough_for_what_follows_it() -> None:
    assert clock(600.0).tuned_until(1060.0, 80.0, 50.0) == 1000.0 + 600.0 - 80.0


def test_a_short_time_is_tuned_in_all_the_same_into_the_slack() -> None:
    # Its models took all of it: a fourth of the time asked for, and the rest ends before the limit.
    until = clock(60.0).tuned_until(1060.0, 40.0, 30.0)
    assert until == 1060.0 + 15.0
    assert until + 30.0 < 1000.0 + 60.0 + SLACK_SECONDS


def test_a_long_time_is_not_exceeded_for_a_fourth_of_it() -> None:
    assert clock(7200.0).tuned_until(8150.0, 60.0, 40.0) == 8150.0 + LEAST_TUNED_SECONDS


def test_where_the_slack_has_no_room_for_what_follows_nothing_is_tuned() -> None:
    assert clock(60.0).tuned_until(1100.0, 90.0, 60.0) < 1100.0


def test_what_follows_always_fits_before_the_limit_or_nothing_is_tuned() -> None:
    tuned = 0
    for time_s, begins_s, least_s in itertools.product(
        (10.0, 60.0, 240.0, 3600.0), (5.0, 30.0, 90.0, 200.0, 3590.0), (2.0, 20.0, 80.0, 300.0)
    ):
        campaign = clock(time_s)
        until = campaign.tuned_until(1000.0 + begins_s, 1.5 * least_s, least_s)
        if until > 1000.0 + begins_s:
            tuned += 1
            assert until + least_s <= 1000.0 + time_s + SLACK_SECONDS
    assert tuned > 20


def test_what_earlier_runs_of_it_took_is_off_its_time_and_its_least_share_is_not_given_again() -> None:
    resumed = clock(600.0, had_s=550.0)
    assert resumed.ends_at == 1050.0
    assert resumed.limit_at < 1050.0 + SLACK_SECONDS
    assert resumed.tuned_until(1045.0, 20.0, 10.0) == 1030.0


def test_one_that_is_resumed_when_its_time_is_over_is_not_tuned_but_compared() -> None:
    late = clock(600.0, had_s=5000.0)
    assert late.tuned_until(1010.0, 20.0, 10.0) < 1010.0
    assert 1000.0 + 60.0 < late.limit_at < 1000.0 + SLACK_SECONDS


def test_without_a_time_nothing_has_an_end() -> None:
    free = clock(None)
    assert math.isinf(free.tuned_until(1000.0, 80.0, 50.0))
    assert math.isinf(free.pace(2).left_s)
    assert not free.limited


def test_comparisons_that_are_still_to_be_made_share_what_is_left() -> None:
    campaign = clock(120.0, now=1060.0)
    first, last = campaign.pace(3), campaign.pace(1)
    assert (first.left_s, last.left_s) == (20.0, 60.0)
    assert first.limit_at < last.limit_at == campaign.limit_at


def test_parts_are_counted_in_order_and_add_up() -> None:
    hand = Hand(1000.0)
    campaign = CampaignClock(60.0, 0.0, 1000.0, hand)
    with campaign.part("planning"):
        hand.at += 7.0
    campaign.add("comparing", 3.0)
    with contextlib.suppress(ValueError), campaign.part("planning"):
        hand.at += 2.0
        raise ValueError("broken off")
    assert list(campaign.parts_s.items()) == [("planning", 9.0), ("comparing", 3.0)]
    assert campaign.taken_s == 9.0


def test_the_end_of_a_campaign_is_estimated_by_what_was_seen_of_its_models() -> None:
    dear = Costs(compile_s=40.0, call_s=2.0, one_s=37.0, reference_s=3.0, judge_s=0.5)
    cheap = Costs(compile_s=10.0, call_s=0.5, one_s=0.4, reference_s=0.5, judge_s=0.1)
    assert Costs.of(dear.document()) == dear
    assert Costs.of(None) is None
    # What it takes to compile is the most of it, and the dear library isn't run again.
    assert 50.0 < closing_seconds([dear], turns=1) < 50.0 + 37.0
    assert closing_seconds([dear, cheap]) == closing_seconds([dear]) + closing_seconds([cheap])
    assert closing_seconds([cheap], turns=1) < closing_seconds([cheap], turns=3)
