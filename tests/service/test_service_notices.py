"""Notices: what is news is sent once."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from orchestrator.errors import StorageError, UsageError
from orchestrator.service.notices import Notices, sender
from orchestrator.storage import CampaignState, Sighting, Storage
from tests.kit.cli_builders import CPU, put_campaign, tuned


def test_what_ends_is_told_once_and_what_had_ended_before_is_not(store: Storage) -> None:
    told: list[tuple[str, str]] = []
    notices = Notices(store, lambda title, text: told.append((title, text)))
    tuned(store, name="before")
    waiting = put_campaign(store, name="waiting")
    notices.look()
    assert told == []
    tuned(store, name="between", budget=48)
    store.campaigns.transition(waiting, CampaignState.FAILED, message="no TVM")
    notices.look()
    notices.look()
    assert [title for title, _ in told] == [
        "tunefleet: campaign 2 (waiting) is failed",
        "tunefleet: campaign 3 (between) is done",
    ]
    assert told[0][1].startswith("no TVM\nsqueezenet: 0 trials measured")
    assert "10.1 ms tuned, onnxruntime 7.50 ms" in told[1][1]


def test_a_device_that_is_quarantined_is_told_once(store: Storage) -> None:
    told: list[tuple[str, str]] = []
    notices = Notices(store, lambda title, text: told.append((title, text)))
    store.device_classes.put("metaschedule", CPU)
    store.devices.see([Sighting("pi4", "host-a", CPU, "busy")])
    notices.look()
    for _ in range(2):
        store.devices.see([Sighting("pi4", "host-a", CPU, "quarantined", "lost three times")])
        notices.look()
    assert told == [("tunefleet: device pi4 on host-a is quarantined", "lost three times")]


@pytest.mark.parametrize("error", [StorageError("locked"), RuntimeError("no route")])
def test_what_could_not_be_sent_is_sent_at_the_next_look_and_nothing_twice(
    store: Storage, error: Exception
) -> None:
    told: list[str] = []
    failing = [False, True, True, False]

    def send(title: str, _: str) -> None:
        if failing and failing.pop(0):
            raise error
        told.append(title)

    notices = Notices(store, send)
    store.device_classes.put("metaschedule", CPU)
    store.devices.see([Sighting("pi4", "host-a", CPU, "busy")])
    notices.try_to_look()
    for name in ("one", "two"):
        store.campaigns.transition(put_campaign(store, name=name), CampaignState.FAILED)
    store.devices.see([Sighting("pi4", "host-a", CPU, "quarantined", "lost three times")])
    for _ in range(5):
        notices.try_to_look()
    assert told == [
        "tunefleet: campaign 1 (one) is failed",
        "tunefleet: campaign 2 (two) is failed",
        "tunefleet: device pi4 on host-a is quarantined",
    ]


@pytest.mark.service
def test_an_address_that_is_none_is_refused_without_being_repeated() -> None:
    with pytest.raises(UsageError) as refused:
        sender(("nonsense://user:secret@host",))
    assert "no address that Apprise knows" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.service
def test_a_notice_arrives_where_it_is_sent() -> None:
    came: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sender((f"json://127.0.0.1:{server.server_port}",))("done", "a text")
        server.shutdown()
    assert [(one["title"], one["message"]) for one in came] == [("done", "a text")]
