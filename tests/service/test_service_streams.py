"""Streams of events: kept open while nothing changes, and no longer than their reader may look."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from orchestrator.service.access.identity import Identity, still_let_in
from orchestrator.service.live import sse
from orchestrator.service.parts import Parts
from orchestrator.storage import Storage, TokenScope
from tests.kit.cli_builders import begin, put_campaign
from tests.kit.service_client import API, bearer, client_of, token

_STREAMS = ("/live", "/devices/live", "/campaigns/1/live", f"{API}/campaigns/1/events")
_LATE_SECONDS = 30.0


@pytest.fixture
def under_way(store: Storage, files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A client of a service that looks a hundred times a second at a campaign under way."""
    begin(store, put_campaign(store, time_s=600.0))
    monkeypatch.setattr(sse, "_LOOK_SECONDS", 0.01)
    with client_of(store, files) as made:
        yield made


@contextmanager
def later(seconds: float, do: Callable[[], object]) -> Iterator[None]:
    """Have something done while a stream is read."""
    timer = threading.Timer(seconds, do)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def parts_behind(client: TestClient) -> Parts:
    parts = client.app.state.parts  # type: ignore[attr-defined]
    assert isinstance(parts, Parts)
    return parts


def change_once_asked(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Have something change once it was asked whether a reader is let in still."""
    changes = [change]

    def asked(parts: Parts, who: Identity) -> bool:
        found = still_let_in(parts, who)
        while changes:
            changes.pop()()
        return found

    monkeypatch.setattr(sse, "_LET_IN_SECONDS", 0.02)
    monkeypatch.setattr(sse, "still_let_in", asked)


@pytest.mark.parametrize("path", _STREAMS)
def test_a_stream_ends_when_its_readers_token_is_worth_nothing(
    under_way: TestClient, store: Storage, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    change_once_asked(monkeypatch, lambda: store.tokens.revoke("ada"))
    text = token(store, TokenScope.READ)
    ending = parts_behind(under_way).ending
    with later(_LATE_SECONDS, ending.set):
        answer = under_way.get(path, headers=bearer(text))
    assert not ending.is_set(), "it was the service's end that ended it"
    assert answer.text.startswith("event: ")
    assert "event: end" not in answer.text
    assert under_way.get(path, headers=bearer(text)).status_code == 401


def test_a_stream_without_a_token_ends_when_the_first_is_made(
    under_way: TestClient, store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_once_asked(monkeypatch, lambda: token(store))
    ending = parts_behind(under_way).ending
    with later(_LATE_SECONDS, ending.set):
        assert under_way.get("/live").status_code == 200
    assert not ending.is_set(), "it was the service's end that ended it"


def test_a_stream_on_which_nothing_happens_says_that_it_is_there_until_the_service_ends(
    under_way: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "_ALIVE_SECONDS", 0.03)
    parts = parts_behind(under_way)
    with later(3.0, parts.ending.set):
        text = under_way.get("/devices/live").text
    assert text.count("event: devices\n") == 1
    assert text.count(": still here\n\n") >= 2
    assert "event: end" not in text
