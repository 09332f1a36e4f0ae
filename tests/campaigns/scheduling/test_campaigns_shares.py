"""Who is next at a device or a core that several campaigns share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import pytest

from orchestrator.campaigns.scheduling.shares import Shares


def served(
    shares: Shares, costs: Mapping[int, float], pieces: int, *, waiting: Collection[int] | None = None
) -> Counter[int]:
    """Give a device away piece by piece, and return the seconds that each campaign had of it."""
    had: Counter[int] = Counter()
    for _ in range(pieces):
        member = shares.order("device", waiting or costs)[0]
        shares.end(member, "device", shares.begin(member, "device"), costs[member])
        had[member] += costs[member]  # type: ignore[assignment]
    return had


@pytest.fixture
def shares() -> Shares:
    made = Shares(credit_s=5.0)
    made.join(1)
    made.join(2)
    return made


def test_equals_share_time_not_turns(shares: Shares) -> None:
    had = served(shares, {1: 0.1, 2: 0.4}, 200)
    assert had[1] == pytest.approx(had[2], abs=0.5)


def test_the_highest_priority_has_all_it_can_use(shares: Shares) -> None:
    shares.join(3, 5)
    assert served(shares, {1: 0.3, 2: 0.3, 3: 0.3}, 20) == {3: pytest.approx(6.0)}
    # What it can't use the others share.
    had = served(shares, {1: 0.3, 2: 0.3, 3: 0.3}, 20, waiting=(1, 2))
    assert had[1] == pytest.approx(had[2])


def test_who_joins_late_has_an_equal_share_from_then_on(shares: Shares) -> None:
    served(shares, {1: 1.0, 2: 1.0}, 100)
    shares.join(3)
    had = served(shares, {1: 1.0, 2: 1.0, 3: 1.0}, 30)
    assert {m: round(s) for m, s in had.items()} == pytest.approx({1: 10, 2: 10, 3: 10}, abs=1)


def test_who_waited_catches_up_with_no_more_than_its_credit(shares: Shares) -> None:
    served(shares, {1: 1.0, 2: 1.0}, 10)
    served(shares, {1: 1.0}, 100)
    had = served(shares, {1: 1.0, 2: 1.0}, 50)
    assert had[2] - had[1] == pytest.approx(5.0, abs=1.5)


def test_nobody_of_one_priority_starves_whatever_the_others_cost(shares: Shares) -> None:
    shares.join(3)
    costs = {1: 0.01, 2: 5.0, 3: 0.3}
    waits: Counter[int] = Counter()
    for _ in range(3000):
        member = shares.order("device", costs)[0]
        for other in costs:
            waits[other] = 0 if other == member else waits[other] + costs[member]  # type: ignore[assignment]
            assert waits[other] < 20
        shares.end(member, "device", shares.begin(member, "device"), costs[member])


def test_many_idle_devices_are_not_all_given_to_one(shares: Shares) -> None:
    given: Counter[int] = Counter()
    for _ in range(16):
        member = shares.order("device", (1, 2))[0]
        shares.begin(member, "device")
        given[member] += 1
    assert given == {1: 8, 2: 8}


def test_another_priority_counts_at_once_and_brings_no_debt_along(shares: Shares) -> None:
    served(shares, {1: 1.0}, 100, waiting=(1,))
    shares.rank(2, 1)
    assert served(shares, {1: 1.0, 2: 1.0}, 10) == {2: pytest.approx(10.0)}
    shares.rank(1, 1)
    assert shares.priority(1) == 1
    had = served(shares, {1: 1.0, 2: 1.0}, 20)
    assert had[1] == pytest.approx(had[2], abs=2)


def test_resources_are_counted_apart(shares: Shares) -> None:
    served(shares, {1: 1.0}, 50, waiting=(1,))
    shares.begin(2, "cores")
    assert shares.order("cores", (1, 2)) == [1, 2]
    assert shares.order("device", (1, 2)) == [2, 1]


def test_work_that_ends_after_its_campaign_left_is_nobodys(shares: Shares) -> None:
    charged = shares.begin(1, "device")
    shares.leave(1)
    shares.end(1, "device", charged, 100.0)
    shares.join(1)
    had = served(shares, {1: 1.0, 2: 1.0}, 20)
    assert had[1] == pytest.approx(had[2], abs=2)
