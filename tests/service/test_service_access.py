"""Who may do what: tokens, scopes, quotas, other sites' pages."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient

from orchestrator.errors import UsageError
from orchestrator.service.access.attempts import Attempts
from orchestrator.service.run import serve
from orchestrator.service.settings import ServiceSettings, is_loopback
from orchestrator.storage import CampaignState, NewToken, Storage, TokenScope
from tests.kit.cli_builders import OWNER, begin, measure, put_campaign
from tests.kit.listening import listening
from tests.kit.service_client import API, bearer, client_of, error_of, token
from tests.kit.tiny_models import tiny


@pytest.fixture
def away(store: Storage, files: Path) -> Iterator[TestClient]:
    """A client of a service that others reach."""
    with client_of(store, files, host="0.0.0.0") as made:
        yield made


def test_off_loopback_and_behind_a_proxy_nothing_starts_without_a_token(store: Storage, files: Path) -> None:
    def ready(address: str) -> None:
        raise AssertionError(f"it serves on {address}")

    away = ServiceSettings(None, files, host="0.0.0.0", port=0)
    behind_proxy = ServiceSettings(None, files, port=0, proxies="127.0.0.1")
    with pytest.raises(UsageError, match=r"there is no token.*tunefleet tokens create"):
        serve(store, away, ready)
    store.tokens.create(NewToken("old", "0" * 64, TokenScope.ADMIN, expires_s=-1.0))
    for settings in (away, behind_proxy):
        with pytest.raises(UsageError, match="and there is no token"):
            serve(store, settings, ready)


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("[::1]", True), ("localhost", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "127.0.0.1.example", "")],
)
def test_a_loopback_is_known(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_without_a_token_nobody_from_elsewhere_sees_anything(away: TestClient) -> None:
    for path in ("/", "/campaigns/1", "/store", "/metrics", f"{API}/campaigns", f"{API}/records", "/live"):
        answer = away.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"


def test_the_first_token_closes_a_loopback_too(client: TestClient, store: Storage) -> None:
    assert client.get(f"{API}/campaigns").status_code == 200
    text = token(store)
    error_of(client.get(f"{API}/campaigns"), 401)
    assert client.get(f"{API}/campaigns", headers=bearer(text)).status_code == 200


def test_that_the_last_token_is_gone_opens_nothing(client: TestClient, store: Storage) -> None:
    token(store, name="late", expires_s=-1.0)
    token(store, name="ada")
    store.tokens.revoke("ada")
    said = error_of(client.get(f"{API}/campaigns"), 401)
    assert "`tunefleet tokens create NAME --scope admin`" in said
    page = client.get("/")
    assert page.status_code == 401
    assert "tunefleet tokens create NAME" in page.text
    text = token(store, name="grace")
    assert client.get(f"{API}/campaigns", headers=bearer(text)).status_code == 200


@pytest.mark.parametrize("settings", [{}, {"proxies": "127.0.0.1"}, {"proxies": "10.0.0.7"}])
@pytest.mark.parametrize("address", ["127.0.0.1", "203.0.113.9", ""])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8085", "tuning.example"])
def test_only_who_is_here_and_behind_no_proxy_needs_no_token(
    store: Storage, files: Path, settings: dict[str, str], address: str, host: str
) -> None:
    app = client_of(store, files, **settings).app
    made = TestClient(app, base_url="http://127.0.0.1:8085", client=(address, 1))
    expected = 401
    if not settings and address == "127.0.0.1":
        expected = 403 if host == "tuning.example" else 200
    assert made.get(f"{API}/campaigns", headers={"Host": host}).status_code == expected


def test_a_proxys_word_counts_where_it_was_named_and_opens_nothing(store: Storage, files: Path) -> None:
    campaign_id = put_campaign(store)
    said = {"Host": "localhost", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https"}
    with listening(store, files, proxies="127.0.0.1") as address:
        for headers in (said, {"Host": "localhost"}, {**said, "X-Forwarded-For": "203.0.113.9"}):
            assert httpx2.get(f"{address}{API}/campaigns", headers=headers).status_code == 401
        text = token(store)
        came = {**said, "X-Forwarded-For": "203.0.113.9"}
        pause = f"{address}{API}/campaigns/{campaign_id}/pause"
        assert httpx2.post(pause, headers={**came, **bearer(text)}).status_code == 200
        login = httpx2.post(f"{address}/login", data={"token": text}, headers=came)
        assert "Secure" in login.headers["set-cookie"].split("; ")
    with listening(store, files) as address:
        resume = f"{address}{API}/campaigns/{campaign_id}/resume"
        assert httpx2.post(resume, headers={**came, **bearer(text)}).status_code == 200
        login = httpx2.post(f"{address}/login", data={"token": text}, headers=came)
        assert "Secure" not in login.headers["set-cookie"].split("; ")
    assert [(row.action, row.address) for row in store.audit.newest()] == [
        ("resume", "127.0.0.1"),
        ("pause", "203.0.113.9"),
    ]


def test_wrong_foreign_revoked_and_expired_tokens_are_refused_alike(
    away: TestClient, store: Storage, tmp_path: Path
) -> None:
    with Storage.open(str(tmp_path / "other.db")) as other:
        foreign = token(other)
    revoked = token(store, name="gone")
    store.tokens.revoke("gone")
    expired = token(store, name="late", expires_s=-1.0)
    said = {
        error_of(away.get(f"{API}/campaigns", headers=bearer(text)), 401)
        for text in (foreign, revoked, expired, "x", "é" * 1000)
        if text.isascii()
    }
    assert len(said) == 1
    error_of(away.get(f"{API}/campaigns", headers={"Authorization": "Basic YTpi"}), 401)
    error_of(away.get(f"{API}/campaigns", headers={"Authorization": "Bearer"}), 401)


def test_failed_logins_have_to_wait_and_right_ones_need_not(away: TestClient, store: Storage) -> None:
    right = token(store)
    codes = [away.get(f"{API}/campaigns", headers=bearer("wrong")).status_code for _ in range(12)]
    assert codes == [401] * 10 + [429] * 2
    answer = away.get(f"{API}/campaigns", headers=bearer("wrong"))
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert away.get(f"{API}/campaigns", headers=bearer(right)).status_code == 200


def test_after_a_minute_an_address_may_try_again() -> None:
    now = [0.0]
    attempts = Attempts(clock=lambda: now[0])
    assert [attempts.failed("a") for _ in range(11)] == [0.0] * 10 + [60.0]
    assert attempts.failed("b") == 0.0
    now[0] = 60.5
    assert attempts.failed("a") == 0.0


def test_scopes_end_where_they_end(away: TestClient, store: Storage) -> None:
    campaign_id = put_campaign(store)
    reader = bearer(token(store, TokenScope.READ, "reader"))
    submitter = bearer(token(store, TokenScope.SUBMIT, "submitter"))
    admin = bearer(token(store, TokenScope.ADMIN, "admin"))
    pause = f"{API}/campaigns/{campaign_id}/pause"
    assert away.get(f"{API}/campaigns", headers=reader).status_code == 200
    assert "this takes submit" in error_of(away.post(pause, headers=reader), 403)
    assert "is not of the token 'submitter'" in error_of(away.post(pause, headers=submitter), 403)
    error_of(away.get(f"{API}/audit", headers=submitter), 403)
    error_of(away.post(f"{API}/records", headers=submitter, content=b"x"), 403)
    assert away.post(pause, headers=admin).status_code == 200
    entries = away.get(f"{API}/audit", headers=admin).json()["entries"]
    assert [(one["who"], one["action"], one["subject"]) for one in entries] == [
        ("admin", "pause", f"campaign {campaign_id}")
    ]


def test_who_submits_steers_what_they_submitted_within_their_quotas(away: TestClient, store: Storage) -> None:
    mine = bearer(token(store, TokenScope.SUBMIT, "ada", campaigns_at_once=1))
    others = bearer(token(store, TokenScope.SUBMIT, "bob"))
    uploaded = away.post(
        f"{API}/models?name=net.onnx", content=tiny().SerializeToString(), headers=mine
    ).json()
    wanted = {"models": [{"sha256": uploaded["sha256"]}], "trials": 8}
    assert "above 10" in error_of(
        away.post(f"{API}/campaigns", json={**wanted, "priority": 11}, headers=mine), 403
    )
    answer = away.post(f"{API}/campaigns", json=wanted, headers=mine)
    assert answer.status_code == 201, answer.text
    number = answer.json()["campaign"]["id"]
    assert "1 campaigns at once" in error_of(away.post(f"{API}/campaigns", json=wanted, headers=mine), 429)
    error_of(away.post(f"{API}/campaigns/{number}/cancel", headers=others), 403)
    assert (
        away.post(f"{API}/campaigns/{number}/cancel", headers=mine).json()["campaign"]["state"] == "cancelled"
    )
    assert away.post(f"{API}/campaigns", json=wanted, headers=mine).status_code == 201


def test_the_seconds_of_a_day_are_counted(away: TestClient, store: Storage) -> None:
    mine = bearer(token(store, TokenScope.SUBMIT, device_seconds_a_day=1.0))
    sha256 = away.post(f"{API}/models", content=tiny().SerializeToString(), headers=mine).json()["sha256"]
    wanted = {"models": [{"sha256": sha256}], "trials": 8}
    number = away.post(f"{API}/campaigns", json=wanted, headers=mine).json()["campaign"]["id"]
    begin(store, number)
    assert away.post(f"{API}/campaigns", json=wanted, headers=mine).status_code == 201
    # Each of them took 0.4 s.
    measure(store, number, of=0, trials=range(3))
    assert "1 s of measurements a day" in error_of(
        away.post(f"{API}/campaigns", json=wanted, headers=mine), 429
    )


def test_what_has_failed_is_resumed_within_the_quotas_of_its_own_token(
    away: TestClient, store: Storage
) -> None:
    mine = bearer(token(store, TokenScope.SUBMIT, "ada", campaigns_at_once=1))
    admin = bearer(token(store, TokenScope.ADMIN, "root"))
    sha256 = away.post(f"{API}/models", content=tiny().SerializeToString(), headers=mine).json()["sha256"]
    wanted = {"models": [{"sha256": sha256}], "trials": 8}
    first = away.post(f"{API}/campaigns", json=wanted, headers=mine).json()["campaign"]["id"]
    store.campaigns.transition(first, CampaignState.FAILED, message="no TVM")
    second = away.post(f"{API}/campaigns", json=wanted, headers=mine).json()["campaign"]["id"]
    resume = f"{API}/campaigns/{{}}/resume"
    for headers in (mine, admin):
        said = error_of(away.post(resume.format(first), headers=headers), 429)
        assert f"'ada' may have 1 campaigns at once, and has {second}" in said
    assert store.campaigns.get(first).state is CampaignState.FAILED
    # One that is paused is counted already.
    assert away.post(f"{API}/campaigns/{second}/pause", headers=mine).status_code == 200
    assert away.post(resume.format(second), headers=mine).json()["campaign"]["state"] == "queued"
    assert away.post(f"{API}/campaigns/{second}/cancel", headers=mine).status_code == 200
    assert away.post(resume.format(first), headers=mine).json()["campaign"]["state"] == "queued"


def test_who_used_up_the_seconds_of_a_day_resumes_nothing(away: TestClient, store: Storage) -> None:
    mine = bearer(token(store, TokenScope.SUBMIT, device_seconds_a_day=1.0))
    sha256 = away.post(f"{API}/models", content=tiny().SerializeToString(), headers=mine).json()["sha256"]
    wanted = {"models": [{"sha256": sha256}], "trials": 8}
    number = away.post(f"{API}/campaigns", json=wanted, headers=mine).json()["campaign"]["id"]
    begin(store, number)
    # Each of them took 0.4 s.
    measure(store, number, of=0, trials=range(3))
    for state, owner in ((CampaignState.PAUSED, OWNER), (CampaignState.FAILED, None)):
        store.campaigns.transition(number, state, owner=owner)
        answer = away.post(f"{API}/campaigns/{number}/resume", headers=mine)
        assert "1 s of measurements a day" in error_of(answer, 429), state
        assert store.campaigns.get(number).state is state


def test_a_page_of_another_site_can_have_nothing_done(client: TestClient, store: Storage) -> None:
    put_campaign(store)
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        error_of(client.post(f"{API}/campaigns/1/cancel", headers=headers), 403)
    # A name of somebody else that leads here would make its page one of ours.
    error_of(client.get(f"{API}/campaigns", headers={"Host": "evil.example:8085"}), 403)
    assert (
        client.post(f"{API}/campaigns/1/cancel", headers={"Origin": "http://127.0.0.1:8085"}).status_code
        == 200
    )


def test_a_login_keeps_the_token_where_no_script_reads_it(away: TestClient, store: Storage) -> None:
    text = token(store, TokenScope.READ)
    wrong = away.post("/login", data={"token": "wrong", "next": "/store"})
    assert wrong.status_code == 401
    assert "not known here" in wrong.text
    done = away.post("/login", data={"token": f" {text} ", "next": "/store"})
    assert (done.status_code, done.headers["location"]) == (303, "/store")
    assert {"HttpOnly", "SameSite=strict"} <= set(done.headers["set-cookie"].split("; "))
    assert away.get("/store").status_code == 200
    assert away.get("/access").status_code == 403
    away.post("/logout")
    assert away.get("/store").status_code == 401


def test_a_login_leads_to_no_other_site(away: TestClient, store: Storage) -> None:
    text = token(store)
    for path in (
        *("//evil.example", "///evil.example", "////evil.example", "https://evil.example", "evil"),
        *("/\\evil.example", "\\\\evil.example", "/\t/evil.example", "\n//evil.example", "//[", ""),
    ):
        done = away.post("/login", data={"token": text, "next": path})
        assert (done.status_code, done.headers["location"]) == (303, "/"), path
        assert 'name="next" value="/"' in away.get("/login", params={"next": path}).text, path


def test_a_login_leads_to_what_was_asked_for(away: TestClient, store: Storage) -> None:
    text = token(store)
    refused = away.get("/compare?first=a%26b&second=2")
    assert refused.status_code == 401
    shown = re.search(r'name="next" value="([^"]*)"', refused.text)
    assert shown is not None
    done = away.post("/login", data={"token": text, "next": html.unescape(shown[1])})
    assert done.headers["location"] == "/compare?first=a%26b&second=2"
