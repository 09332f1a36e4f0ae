"""Campaigns: states, requests, leases."""

from __future__ import annotations

import threading
import time

import pytest

from orchestrator.errors import LeaseLostError, NotFoundError, StorageError, UsageError
from orchestrator.storage import CampaignRequest, CampaignState, NewCampaignModel, Storage
from tests.kit.storage_builders import campaign, model, stock

S = CampaignState
LONG_S = 60.0
SHORT_S = 0.2


def let_it_run_out() -> None:
    time.sleep(1.25 * SHORT_S)


def test_a_campaign_is_found_by_id_and_by_name(storage: Storage) -> None:
    first = campaign(storage, name="nightly", seed=2**40)
    second = campaign(storage)
    row = storage.campaigns.get("nightly")
    assert (row.id, row.state, row.seed, row.spec) == (first, S.QUEUED, 2**40, {"trials": 64})
    assert storage.campaigns.get(first) == storage.campaigns.get(str(first)) == row
    assert storage.campaigns.get(f"campaign-{second}").name == f"campaign-{second}"
    assert [row.id for row in storage.campaigns.newest()] == [second, first]
    assert storage.campaigns.newest(states=[S.DONE]) == []
    assert storage.campaigns.newest(name="nightly") == [row]
    assert storage.campaigns.newest(name="night") == storage.campaigns.newest(name=str(first)) == []
    for missing in (99, "99", "campaign-99", "nobody", "²", str(10**30)):
        with pytest.raises(NotFoundError):
            storage.campaigns.get(missing)


@pytest.mark.parametrize("name", ["nightly", "12", "campaign-12", " ", "a/b", "/"])
def test_a_name_that_is_taken_or_reads_as_a_number_or_a_path_is_refused(storage: Storage, name: str) -> None:
    campaign(storage, name="nightly")
    with pytest.raises(UsageError):
        campaign(storage, name=name)
    assert len(storage.campaigns.newest()) == 1


def test_a_campaigns_files_become_models(storage: Storage) -> None:
    files = [NewCampaignModel("/b.onnx"), NewCampaignModel("/a.onnx", {"x": (1, 3)})]
    campaign_id = campaign(storage, models=files)
    storage.campaigns.set_model(campaign_id, 1, storage.models.put(model(), "/a.onnx"))
    rows = storage.campaigns.models(campaign_id)
    assert [(r.path, r.shapes, r.model_name) for r in rows] == [
        ("/b.onnx", {}, None),
        ("/a.onnx", {"x": (1, 3)}, "model0"),
    ]
    with pytest.raises(NotFoundError):
        storage.campaigns.set_model(campaign_id, 2, rows[1].model_id or 0)


def test_a_campaign_goes_its_way_and_is_stamped(storage: Storage) -> None:
    campaign_id = campaign(storage)
    assert storage.leases.acquire(campaign_id, "me", LONG_S)
    assert storage.campaigns.get(campaign_id).started_at is None
    started = storage.campaigns.transition(campaign_id, S.EXTRACTING, owner="me").started_at
    assert started is not None
    for state in (S.TUNING, S.TUNING, S.VERIFYING):
        row = storage.campaigns.transition(campaign_id, state, message="at it", owner="me")
        assert (row.state, row.message, row.started_at, row.finished_at) == (state, "at it", started, None)
    done = storage.campaigns.transition(campaign_id, S.DONE, owner="me")
    assert done.finished_at is not None
    assert (done.held, done.lease_owner) == (False, None)


@pytest.mark.parametrize(
    ("path", "illegal"),
    [
        ([], S.TUNING),
        ([], S.DONE),
        ([S.PAUSED], S.TUNING),
        ([S.EXTRACTING, S.DONE], S.QUEUED),
        ([S.CANCELLED], S.QUEUED),
        ([S.FAILED], S.DONE),
    ],
)
def test_a_state_that_cant_follow_is_refused(
    storage: Storage, path: list[CampaignState], illegal: CampaignState
) -> None:
    campaign_id = campaign(storage)
    for state in path:
        storage.campaigns.transition(campaign_id, state)
    with pytest.raises(StorageError, match=f"can't become {illegal.value}"):
        storage.campaigns.transition(campaign_id, illegal)


def test_a_failed_campaign_may_be_resumed(storage: Storage) -> None:
    campaign_id = campaign(storage)
    storage.campaigns.transition(campaign_id, S.FAILED, message="no disk")
    row = storage.campaigns.request(campaign_id, "resume")
    assert (row.state, row.finished_at) == (S.QUEUED, None)


def test_only_the_holder_of_the_lease_moves_a_campaign(storage: Storage) -> None:
    campaign_id = campaign(storage, owner="me", ttl_s=LONG_S)
    for other in ("you", None):
        with pytest.raises(LeaseLostError):
            storage.campaigns.transition(campaign_id, S.EXTRACTING, owner=other)
    assert storage.campaigns.get(campaign_id).state is S.QUEUED


def test_two_owners_never_hold_one_lease(storage: Storage) -> None:
    campaign_id = campaign(storage)
    assert storage.leases.acquire(campaign_id, "me", LONG_S)
    assert storage.leases.acquire(campaign_id, "me", LONG_S)
    assert not storage.leases.acquire(campaign_id, "you", LONG_S)
    storage.leases.release(campaign_id, "you")
    storage.leases.renew(campaign_id, "me", LONG_S)
    storage.leases.release(campaign_id, "me")
    assert storage.leases.acquire(campaign_id, "you", LONG_S)
    with pytest.raises(LeaseLostError, match="you runs it now"):
        storage.leases.renew(campaign_id, "me", LONG_S)
    with pytest.raises(NotFoundError):
        storage.leases.acquire(99, "me", LONG_S)


def test_a_lease_runs_out_and_a_slow_owner_may_renew_until_somebody_takes_it(storage: Storage) -> None:
    campaign_id = campaign(storage)
    storage.leases.acquire(campaign_id, "me", SHORT_S)
    assert storage.campaigns.get(campaign_id).held
    let_it_run_out()
    assert not storage.campaigns.get(campaign_id).held
    storage.leases.renew(campaign_id, "me", SHORT_S)
    let_it_run_out()
    assert storage.leases.acquire(campaign_id, "you", LONG_S)
    with pytest.raises(LeaseLostError):
        storage.leases.renew(campaign_id, "me", LONG_S)


def test_a_dead_holders_lease_is_taken_over_once(storage: Storage) -> None:
    campaign_id = campaign(storage, owner="dead", ttl_s=LONG_S)
    assert not storage.leases.take_over(campaign_id, "me", "somebody", LONG_S)
    assert storage.leases.take_over(campaign_id, "me", "dead", LONG_S)
    assert not storage.leases.take_over(campaign_id, "you", "dead", LONG_S)
    assert storage.campaigns.get(campaign_id).lease_owner == "me"


def test_the_oldest_waiting_campaign_is_claimed_and_an_interrupted_one_waits_too(storage: Storage) -> None:
    interrupted, paused, queued = (campaign(storage) for _ in range(3))
    held = campaign(storage, owner="you", ttl_s=LONG_S)
    storage.leases.acquire(interrupted, "dead", SHORT_S)
    storage.campaigns.transition(interrupted, S.EXTRACTING, owner="dead")
    storage.campaigns.transition(paused, S.PAUSED)
    let_it_run_out()
    claims = [storage.leases.claim_next("me", LONG_S) for _ in range(3)]
    assert [c and (c.id, c.lease_owner, c.held) for c in claims] == [
        (interrupted, "me", True),
        (queued, "me", True),
        None,
    ]
    assert storage.campaigns.get(held).lease_owner == "you"


def test_the_highest_priority_is_claimed_first_and_of_one_the_oldest(storage: Storage) -> None:
    low, first, second, high = (campaign(storage, priority=p) for p in (-1, 0, 0, 5))
    assert [storage.campaigns.get(i).priority for i in (low, first, high)] == [-1, 0, 5]
    assert storage.campaigns.set_priority(second, 7).priority == 7
    found = storage.leases.peek_next()
    assert found is not None
    assert (found.id, found.held) == (second, False)
    claims = [storage.leases.claim_next("me", LONG_S) for _ in range(5)]
    assert [c and c.id for c in claims] == [second, high, first, low, None]
    assert storage.leases.peek_next() is None
    with pytest.raises(NotFoundError):
        storage.campaigns.set_priority(99, 1)


def test_a_campaign_of_another_engine_is_left_where_one_is_asked_for(storage: Storage) -> None:
    other, own = campaign(storage, engine="autotvm"), campaign(storage)
    claims = [storage.leases.claim_next("me", LONG_S, engine="metaschedule") for _ in range(2)]
    assert [c and c.id for c in claims] == [own, None]
    found = storage.leases.peek_next()
    assert found is not None
    assert found.id == other


def test_coordinators_that_claim_at_once_get_different_campaigns(storage: Storage) -> None:
    ids = [campaign(storage) for _ in range(12)]
    claimed: list[int] = []

    def claim(owner: str) -> None:
        while (row := storage.leases.claim_next(owner, LONG_S)) is not None:
            claimed.append(row.id)

    threads = [threading.Thread(target=claim, args=(f"owner-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # PostgreSQL may pass a locked row over and find the queue empty; nothing may be claimed twice.
    while (row := storage.leases.claim_next("last", LONG_S)) is not None:
        claimed.append(row.id)
    assert sorted(claimed) == ids


def test_a_request_waits_for_the_holder_of_the_lease(storage: Storage) -> None:
    campaign_id = campaign(storage, owner="me", ttl_s=LONG_S)
    assert storage.campaigns.take_request(campaign_id) is None
    row = storage.campaigns.request(campaign_id, "pause")
    assert (row.state, row.request) == (S.QUEUED, CampaignRequest.PAUSE)
    assert storage.campaigns.take_request(campaign_id) is CampaignRequest.PAUSE
    assert storage.campaigns.take_request(campaign_id) is None
    storage.campaigns.request(campaign_id, "cancel")
    storage.campaigns.request(campaign_id, "resume")
    assert storage.campaigns.take_request(campaign_id) is CampaignRequest.CANCEL


def test_a_request_happens_at_once_where_nobody_runs_the_campaign(storage: Storage) -> None:
    campaign_id = campaign(storage)
    assert storage.campaigns.request(campaign_id, "pause").state is S.PAUSED
    assert storage.campaigns.request(campaign_id, "resume").state is S.QUEUED
    cancelled = storage.campaigns.request(campaign_id, "cancel")
    assert (cancelled.state, cancelled.request) == (S.CANCELLED, None)
    assert cancelled.finished_at is not None
    for request in CampaignRequest:
        with pytest.raises(UsageError, match="is cancelled: nothing to"):
            storage.campaigns.request(campaign_id, request)


def test_a_request_takes_the_lease_from_a_holder_whose_time_ran_out(storage: Storage) -> None:
    campaign_id = campaign(storage, owner="slow", ttl_s=SHORT_S)
    storage.campaigns.transition(campaign_id, S.EXTRACTING, owner="slow")
    let_it_run_out()
    assert storage.campaigns.request(campaign_id, "pause").state is S.PAUSED
    with pytest.raises(LeaseLostError):
        storage.leases.renew(campaign_id, "slow", LONG_S)


def test_a_request_that_comes_while_pausing_is_not_lost(storage: Storage) -> None:
    for request, state in ((CampaignRequest.RESUME, S.QUEUED), (CampaignRequest.CANCEL, S.CANCELLED)):
        campaign_id = campaign(storage, owner="me", ttl_s=LONG_S)
        storage.campaigns.request(campaign_id, request)
        row = storage.campaigns.transition(campaign_id, S.PAUSED, owner="me")
        assert (row.state, row.request, row.lease_owner) == (state, None, None)


def test_a_request_that_nobody_took_happens_when_the_lease_is_released(storage: Storage) -> None:
    campaign_id = campaign(storage, owner="me", ttl_s=LONG_S)
    storage.campaigns.request(campaign_id, "pause")
    storage.leases.release(campaign_id, "me")
    assert storage.campaigns.get(campaign_id).state is S.PAUSED


def test_active_time_adds_up(storage: Storage) -> None:
    campaign_id = campaign(storage)
    storage.campaigns.add_active_time(campaign_id, 1.5)
    storage.campaigns.add_active_time(campaign_id, 2.0)
    assert storage.campaigns.get(campaign_id).active_s == pytest.approx(3.5)
    with pytest.raises(NotFoundError):
        storage.campaigns.add_active_time(99, 1.0)


def test_ids_in_use_do_not_need_a_device_to_be_there(storage: Storage) -> None:
    stock(storage)
    assert storage.tasks.of_campaign(campaign(storage)) == []
