"""Tokens, whose a campaign is, the audit, and what drawings are of."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from orchestrator.errors import NotFoundError, UsageError
from orchestrator.storage import CampaignState, NewAuditEntry, NewToken, Storage, TokenScope
from tests.kit.storage_builders import CPU, campaign, failed, ok, stock, task, workload
from workers.messages import TrialState


def test_a_token_is_found_by_its_digest_with_its_quotas(storage: Storage) -> None:
    asked = NewToken("ada", "ab" * 32, TokenScope.SUBMIT, 3600.0, 1e5, 2, 2**40)
    row = storage.tokens.create(asked)
    assert (row.scope, row.live, row.device_seconds_a_day) == (TokenScope.SUBMIT, True, 1e5)
    assert (row.campaigns_at_once, row.upload_bytes) == (2, 2**40)
    assert row.expires_at is not None
    assert abs(row.expires_at - datetime.now(timezone.utc) - timedelta(hours=1)) < timedelta(minutes=1)
    assert storage.tokens.find("ab" * 32) == storage.tokens.get(row.id) == row
    assert storage.tokens.find("cd" * 32) is None
    assert storage.tokens.all() == [row]


def test_a_token_that_was_revoked_or_has_expired_is_worth_nothing(storage: Storage) -> None:
    assert not storage.tokens.any_live()
    assert not storage.tokens.any()
    storage.tokens.create(NewToken("late", "01" * 32, TokenScope.READ, -1.0))
    assert not storage.tokens.any_live()
    storage.tokens.create(NewToken("ada", "02" * 32, TokenScope.READ))
    assert storage.tokens.any_live()
    first = storage.tokens.revoke("ada")
    assert not first.live
    assert storage.tokens.revoke("ada") == storage.tokens.get(first.id) == first
    assert not storage.tokens.any_live()
    assert storage.tokens.any()
    with pytest.raises(NotFoundError):
        storage.tokens.revoke("nobody")
    with pytest.raises(UsageError, match="already"):
        storage.tokens.create(NewToken("ada", "03" * 32, TokenScope.READ))
    assert len(storage.tokens.all()) == 2


def test_when_a_token_was_used_is_known_to_the_minute(storage: Storage) -> None:
    token = storage.tokens.create(NewToken("ada", "ab" * 32, TokenScope.READ))
    assert token.last_used_at is None
    storage.tokens.used(token.id)
    first = storage.tokens.all()[0].last_used_at
    assert first is not None
    storage.tokens.used(token.id)
    assert storage.tokens.all()[0].last_used_at == first


def test_a_tokens_open_campaigns_and_measured_seconds_are_its_own(storage: Storage) -> None:
    stock(storage)
    ada = storage.tokens.create(NewToken("ada", "01" * 32, TokenScope.SUBMIT)).id
    bob = storage.tokens.create(NewToken("bob", "02" * 32, TokenScope.SUBMIT)).id
    mine, ended, others, nobodys = (campaign(storage) for _ in range(4))
    for number, token in ((mine, ada), (ended, ada), (others, bob)):
        storage.submissions.put(number, token)
    storage.campaigns.transition(ended, CampaignState.CANCELLED)
    assert storage.submissions.open(ada) == [mine]
    assert storage.submissions.open(bob) == [others]
    assert (storage.submissions.token_of(mine), storage.submissions.token_of(nobodys)) == (ada, None)
    assert storage.submissions.device_seconds(ada) == 0.0
    storage.trials.record(
        [ok(1, 0.1, campaign=mine), failed(2, campaign=ended), ok(3, 0.1, campaign=others), ok(4, 0.1)]
    )
    # A good one of these took 0.5 s, a failed one 0.1 s.
    assert storage.submissions.device_seconds(ada) == pytest.approx(0.6)


def test_the_audit_has_the_newest_first_and_takes_any_text(storage: Storage) -> None:
    token = storage.tokens.create(NewToken("ada", "01" * 32, TokenScope.SUBMIT)).id
    storage.audit.note(NewAuditEntry("submit", "campaign 1", token, "ada", "::1", {"name": "x"}))
    storage.audit.note(NewAuditEntry("upload", "a\x00b'; DROP TABLE audit; --"))
    second, first = storage.audit.newest()
    assert (first.action, first.who, first.detail, first.token_id) == ("submit", "ada", {"name": "x"}, token)
    assert second.subject == "a�b'; DROP TABLE audit; --"
    assert storage.audit.newest(1) == [second]


def test_points_are_those_of_a_campaigns_own_task(storage: Storage) -> None:
    stock(storage, 0, 1)
    number = campaign(storage, owner="me")
    storage.campaigns.transition(number, CampaignState.EXTRACTING, owner="me")
    storage.tasks.put(number, [task(0), task(1)], owner="me")
    storage.trials.record(
        [
            *(ok(1, 0.2, campaign=number), failed(2, campaign=number), ok(3, 0.1, campaign=number)),
            *(ok(4, 0.1, of=1, campaign=number), ok(5, 0.01)),
        ]
    )
    points = storage.answers.points(number, workload(0).hash, CPU.device_class)
    assert [point.cost_s for point in points] == [0.2, None, 0.1]
    assert [point.state for point in points] == [TrialState.OK, TrialState.BUILD_ERROR, TrialState.OK]
    assert all(0 <= point.at_s < 60 for point in points)
    last = storage.answers.points(number, workload(0).hash, CPU.device_class, last=1)
    assert last == points[-1:]
    with pytest.raises(NotFoundError):
        storage.answers.points(99, workload(0).hash, CPU.device_class)


def test_the_newest_models_and_all_comparisons_of_one_are_listed(storage: Storage) -> None:
    model_id = stock(storage)
    assert [row.id for row in storage.models.newest(5)] == [model_id]
    assert storage.models.newest(0) == []
    assert storage.verifications.of_model(model_id, limit=5) == []
