"""When was searched for campaigns, as it is stored."""

from __future__ import annotations

import pytest

from orchestrator.errors import LeaseLostError, NotFoundError
from orchestrator.storage import CampaignState, NewSearch, Storage
from tests.kit.storage_builders import campaign

OWNER = "coordinator"


def test_searches_lie_on_the_campaigns_own_clock(storage: Storage) -> None:
    known = campaign(storage, owner=OWNER)
    storage.searches.add(known, [NewSearch("a", 0.0, 1.5)], owner=OWNER)
    # What was never begun has no time to count from.
    assert storage.answers.searches(known, last=10) == []

    storage.campaigns.transition(known, CampaignState.EXTRACTING, owner=OWNER)
    storage.searches.add(known, [NewSearch("a\x00b", 5.0, 2.5), NewSearch("b", 0.0, 0.5)], owner=OWNER)

    first, second, third = storage.answers.searches(known, last=10)
    assert (first.took_s, second.took_s, third.took_s) == (1.5, 2.5, 0.5)
    assert (second.host, third.host) == ("a\ufffdb", "b")
    # It ended 5 s before what was stored with it: 7 s lie between their beginnings.
    assert third.began_s - second.began_s == pytest.approx(7.0, abs=0.5)
    assert [row.host for row in storage.answers.searches(known, last=1)] == ["b"]


def test_who_lost_the_lease_stores_none(storage: Storage) -> None:
    known = campaign(storage, owner=OWNER)
    with pytest.raises(LeaseLostError):
        storage.searches.add(known, [NewSearch("a", 0.0, 1.5)], owner="somebody else")
    with pytest.raises(NotFoundError):
        storage.answers.searches(known + 1, last=1)
