"""Watching through a service goes on where that is away for a moment, and ends with the campaign."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from orchestrator.cli.campaigns import watch_served
from orchestrator.documents.details import details_document, read_details
from orchestrator.documents.schema import titled
from orchestrator.remote.address import ServerAddress
from orchestrator.remote.connection import Connection
from orchestrator.storage import CampaignState, Storage
from tests.kit.cli_builders import OWNER, Cli, begin, measure, put_campaign

_PROGRESS = b"event: progress\ndata: {}\n\n"
_END = b"event: end\ndata: \n\n"


class Streams:
    """Answers as a service does whose campaign ends in its last stream of events."""

    def __init__(self, store: Storage, campaign: int, streams: list[bytes | Exception]) -> None:
        self._store, self._campaign, self._streams = store, campaign, streams
        self.asked = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/events"):
            document = titled("show", details_document(read_details(self._store, self._campaign)))
            return httpx2.Response(200, json=document)
        stream = self._streams[min(self.asked, len(self._streams) - 1)]
        self.asked += 1
        if isinstance(stream, Exception):
            raise stream
        if stream.endswith(_END):
            self._store.campaigns.transition(self._campaign, CampaignState.DONE, owner=OWNER)
        return httpx2.Response(200, content=stream, headers={"content-type": "text/event-stream"})


@pytest.fixture
def campaign(store: Storage, monkeypatch: pytest.MonkeyPatch) -> int:
    """A campaign under way."""
    monkeypatch.setattr(watch_served, "_AGAIN_SECONDS", 0.01)
    found = put_campaign(store)
    begin(store, found)
    measure(store, found, of=0, trials=range(4))
    return found


@pytest.fixture
def watching(store: Storage, campaign: int, tmp_path: Path) -> Iterator[tuple[Cli, list[bytes | Exception]]]:
    """Commands through a service, and what its streams of events say."""
    streams: list[bytes | Exception] = []
    answers = Streams(store, campaign, streams)

    def connect(address: ServerAddress) -> Connection:
        return Connection(address, httpx2.Client(transport=httpx2.MockTransport(answers)))

    cli = Cli(tmp_path / "none.db")
    cli.launchers = replace(cli.launchers, connect=connect)
    yield cli, streams
    assert answers.asked >= len(streams)


def test_what_breaks_off_is_taken_up_again(watching: tuple[Cli, list[bytes | Exception]]) -> None:
    cli, streams = watching
    streams += [_PROGRESS, httpx2.ConnectError("refused"), httpx2.ReadError("gone"), _PROGRESS + _END]
    answer = cli("watch", "1", "--server", "http://tuning.example", db=False)
    assert answer.code == 0, answer.err
    assert "tuning" in answer.err
    assert re.search(r"state +done", answer.out)


def test_a_service_that_stays_away_ends_the_watching(
    watching: tuple[Cli, list[bytes | Exception]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_served, "_AWAY_SECONDS", 0.05)
    cli, streams = watching
    streams += [_PROGRESS, httpx2.ConnectError("refused")]
    answer = cli("watch", "1", "--server", "http://tuning.example", db=False)
    assert answer.code == 1
    assert "no service is reached at http://tuning.example (refused)" in answer.err
