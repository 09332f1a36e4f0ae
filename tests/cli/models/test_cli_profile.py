"""``profile``: what is shown, stored and written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.storage import Storage
from tests.kit.cli_builders import CPU, Cli, put_known_model, tuned
from tests.kit.stand_ins import CannedToolbox

pytestmark = pytest.mark.usefixtures("toolbox")


def test_tasks_are_shown_beside_onnxruntime_those_first_that_lose_most(
    cli: Cli, model: Path, store: Storage
) -> None:
    tuned(store)
    answer = cli("profile", str(model), "--turns", "1")
    assert answer.code == 0, answer.err
    rows = [line for line in answer.out.splitlines() if line.startswith("fused")]
    # The first has a counterpart, of which 2 calls take a millisecond.
    assert [row.split()[0][-1] for row in rows] == ["2", "1", "0"]
    assert rows[-1].split()[1:5] == ["2", "2.00", "ms", "16.7%"]
    assert rows[-1].split()[-5:] == ["1.00", "ms", "2.00", "1.00", "ms"]
    assert rows[0].split()[-3:] == ["-", "-", "-"]
    assert "1 smaller ones" in answer.out
    assert "without a counterpart" in answer.out
    assert "10.0 ms a run, onnxruntime 7.50 ms" in answer.out
    assert "1 smaller ones" not in cli("profile", str(model), "--turns", "1", "--all").out


def test_what_was_seen_is_stored_and_the_latest_is_read(cli: Cli, model: Path, store: Storage) -> None:
    tuned(store)
    first = cli("profile", str(model), "--turns", "1", "--json").document
    cli("profile", str(model), "--turns", "2")
    (row,) = store.models.newest(5)
    found = store.profiles.latest(row.id, first["device_class"])
    assert found is not None
    assert found.id == 2
    assert {"schema": "tunefleet/profile/1", **found.document} == first


def test_nothing_is_timed_or_stored_of_a_library_that_computes_something_else(
    cli: Cli, model: Path, store: Storage, toolbox: type[CannedToolbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned(store)
    monkeypatch.setattr(toolbox, "agree", False)
    answer = cli("profile", str(model), "--turns", "1")
    assert answer.code != 0
    assert "computes something else than onnxruntime" in " ".join(answer.err.split())
    (row,) = store.models.newest(5)
    assert store.profiles.latest(row.id, CPU.device_class) is None


def test_the_trace_has_both_sides_call_by_call(cli: Cli, model: Path, store: Storage, tmp_path: Path) -> None:
    tuned(store)
    file = tmp_path / "trace.json"
    assert cli("profile", str(model), "--turns", "1", "--trace", str(file)).code == 0
    events = json.loads(file.read_text())["traceEvents"]
    names = {event["pid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    assert names == {1: "squeezenet, tuned", 2: "onnxruntime"}
    spans = [event for event in events if event["ph"] == "X"]
    assert [(e["pid"], e["name"], e["ts"], e["dur"]) for e in spans][1::2] == [
        (1, "conv1", pytest.approx(2000), pytest.approx(1000)),
        (2, "/conv/Conv", 0, pytest.approx(500)),
    ]
    assert spans[0]["args"]["workload"].startswith("0000")


def test_a_trace_that_cannot_be_written_is_refused_before_the_work(cli: Cli, model: Path) -> None:
    answer = cli("profile", str(model), "--trace", "nowhere/trace.json")
    assert answer.code == 2
    assert "there is no folder" in answer.err


def test_nothing_tuned_is_said(cli: Cli, model: Path, store: Storage) -> None:
    put_known_model(store, model)
    answer = cli("profile", str(model), "--turns", "1")
    assert answer.code == 0, answer.err
    assert "3 of 3 tasks are untuned" in answer.err
