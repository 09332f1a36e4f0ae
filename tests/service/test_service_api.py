"""The API answers with the documents of the commands, and with one clear sentence where it can't."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from markupsafe import escape
from starlette.testclient import TestClient

from orchestrator.errors import EngineError
from orchestrator.service import schedules
from orchestrator.storage import CampaignState, CheckState, NewDeviceCheck, Sighting, Storage
from orchestrator.toolbox import Toolbox
from tests.kit.cli_builders import CPU, TOOLCHAIN, Cli, begin, measure, profiled, put_campaign, tuned
from tests.kit.documented import assert_documented
from tests.kit.service_client import API, client_of, error_of
from tests.kit.tiny_models import tiny

ROOT = Path(__file__).parents[2]


def test_queries_answer_with_the_documents_of_the_commands(
    client: TestClient, store: Storage, tmp_path: Path
) -> None:
    tuned(store)
    tuned(store, budget=48)
    cli = Cli(tmp_path / "records.db")
    for path, words in (
        ("/campaigns", ["list"]),
        ("/campaigns/1", ["show", "1"]),
        ("/campaigns/1/trials", ["trials", "1"]),
        ("/campaigns/1/failures", ["failures", "--campaign", "1"]),
        ("/compare?first=1&second=2", ["compare", "1", "2"]),
        ("/best", ["best"]),
        ("/failures", ["failures"]),
        ("/devices", ["devices"]),
        ("/workloads/0001/history", ["history", "--workload", "0001"]),
    ):
        answer = client.get(f"{API}{path}")
        assert answer.status_code == 200, answer.text
        assert answer.json() == cli(*words, "--json").document, path
    statistics = client.get(f"{API}/statistics").json()
    assert_documented({**statistics, "database": "/home/me/records.db"})


def test_a_models_answers_are_the_documents_of_the_commands(client: TestClient, store: Storage) -> None:
    tuned(store)
    for kind in ("history", "slowest", "best"):
        answer = client.get(f"{API}/models/1/{kind}")
        assert answer.status_code == 200, answer.text
        assert_documented(answer.json())
    model = client.get(f"{API}/models/1").json()
    assert_documented(model)
    assert_documented(client.get(f"{API}/models").json())
    assert model["name"] == "squeezenet"
    assert model["device_classes"][0]["tasks_timed"] == 3
    assert [one["id"] for one in client.get(f"{API}/models").json()["models"]] == [1]


def test_where_a_models_time_went_is_the_commands_document_and_a_trace(
    client: TestClient, store: Storage
) -> None:
    tuned(store)
    answer = client.get(f"{API}/models/1/profile")
    assert answer.status_code == 404
    assert "`tunefleet profile MODEL`" in answer.json()["error"]["message"]

    store.profiles.add(1, CPU.device_class, profiled())
    answer = client.get(f"{API}/models/1/profile")
    assert answer.status_code == 200, answer.text
    assert_documented(answer.json())
    trace = client.get(f"{API}/models/1/profile/trace")
    assert trace.headers["content-disposition"] == 'attachment; filename="profile-1.trace.json"'
    assert [event["dur"] for event in trace.json()["traceEvents"] if event["ph"] == "X"] == [140.0, 200.0]


def test_a_campaign_is_paused_resumed_cancelled_and_ranked(client: TestClient, store: Storage) -> None:
    campaign_id = put_campaign(store)
    states = []
    for action in ("pause", "resume", "cancel"):
        answer = client.post(f"{API}/campaigns/{campaign_id}/{action}")
        assert_documented(answer.json(), example="pause")
        states.append(answer.json()["campaign"]["state"])
    assert states == ["paused", "queued", "cancelled"]
    answer = client.put(f"{API}/campaigns/{campaign_id}/priority", json={"priority": 7})
    assert answer.json()["campaign"]["priority"] == 7
    assert [(row.action, row.subject) for row in store.audit.newest()] == [
        (action, "campaign 1") for action in ("priority", "cancel", "resume", "pause")
    ]
    assert_documented(client.get(f"{API}/audit").json())
    assert "nothing to pause" in error_of(client.post(f"{API}/campaigns/{campaign_id}/pause"), 400)


def test_a_campaign_is_listed_as_soon_as_it_is_submitted_or_has_changed(
    client: TestClient, store: Storage
) -> None:
    client.app.state.parts.recent._seconds = 60.0  # type: ignore[attr-defined]
    sha256 = client.post(f"{API}/models", content=tiny().SerializeToString()).json()["sha256"]
    listed = (*(f"{API}/campaigns{query}" for query in ("", "?limit=1000", "?name=n-31")), "/?state=queued")
    for path in listed:
        assert "n-31" not in client.get(path).text
    wanted = {"models": [{"sha256": sha256}], "trials": 8, "name": "n-31"}
    assert client.post(f"{API}/campaigns", json=wanted).status_code == 201
    for path in listed:
        assert "n-31" in client.get(path).text, path
    client.post(f"{API}/campaigns/n-31/pause")
    assert "n-31" not in client.get("/?state=queued").text
    assert "n-31" in client.get(f"{API}/campaigns?state=paused").text


def test_an_engine_that_is_not_there_is_said_and_no_fault_of_the_service(
    client: TestClient, store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned(store)
    said = "the metaschedule engine can't start: No module named 'tvm'"

    def start(_: str) -> Toolbox:
        raise EngineError(said)

    monkeypatch.setattr(schedules, "Toolbox", start)
    assert error_of(client.get(f"{API}/workloads/0001/best?schedules=true"), 409) == said
    assert error_of(client.get(f"{API}/models/1/best?schedules=true"), 409) == said
    page = client.get("/trials/1/schedule")
    assert page.status_code == 409
    assert str(escape(said)) in page.text
    assert client.get(f"{API}/workloads/0001/best").status_code == 200


def test_events_of_a_campaign_end_with_it(client: TestClient, store: Storage) -> None:
    tuned(store)
    answer = client.get(f"{API}/campaigns/1/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    progress = answer.text.partition("\n")[2].partition("\n")[0]
    assert answer.text.startswith("event: progress\n")
    assert_documented(json.loads(progress.removeprefix("data: ")))
    assert answer.text.endswith("event: end\ndata: \n\n")


_MISSING = (
    ("/campaigns/99", 404),
    ("/campaigns/99/events", 404),
    ("/campaigns/" + "9" * 40, 404),
    ("/campaigns/x'; DROP TABLE campaigns; --", 404),
    ("/campaigns/%00", 404),
    ("/campaigns?limit=0", 422),
    ("/campaigns?state=melting", 422),
    ("/campaigns/1/trials?after=-1", 422),
    ("/models/0", 422),
    ("/models/99/best", 404),
    ("/models/99999999999999999999", 422),
    ("/compare?first=1&second=1", 400),
    ("/compare", 422),
    ("/best?device=nothing", 404),
    ("/builds/none", 404),
    ("/nothing", 404),
    ("/records", 404),
)


def test_what_is_not_there_is_said_in_a_sentence(client: TestClient, store: Storage) -> None:
    put_campaign(store)
    for path, status in _MISSING:
        error_of(client.get(f"{API}{path}"), status)
    assert store.campaigns.get(1).state is CampaignState.QUEUED


def test_records_come_out_and_go_into_another_store(
    client: TestClient, store: Storage, tmp_path: Path
) -> None:
    tuned(store)
    packed = client.get(f"{API}/records").content
    assert packed[:2] == b"\x1f\x8b"
    with Storage.open(str(tmp_path / "other.db")) as other, client_of(other, tmp_path / "o") as there:
        for dry_run, stored in ((True, 0), (False, 96)):
            answer = there.post(f"{API}/records?dry_run={dry_run}", content=packed)
            assert answer.status_code == 200, answer.text
            assert answer.json()["trials_imported"] == 96
            assert sum(row.trials for row in other.upkeep.statistics().classes) == stored
        assert "no records" in error_of(there.post(f"{API}/records", content=b"anything"), 400)


def test_the_pace_is_that_of_the_last_minutes(store: Storage) -> None:
    campaign_id = put_campaign(store)
    begin(store, campaign_id)
    assert store.answers.per_hour(campaign_id) is None
    measure(store, campaign_id, of=0, trials=range(20))
    per_hour = store.answers.per_hour(campaign_id)
    assert per_hour is not None
    # Measured within a second, which is the least that is counted with.
    assert 1000 < per_hour <= 20 * 3600


def test_metrics_say_how_the_store_stands(client: TestClient, store: Storage) -> None:
    tuned(store)
    put_campaign(store)
    text = client.get("/metrics").text
    for line in (
        'tunefleet_campaigns{state="done"} 1.0',
        'tunefleet_campaigns{state="queued"} 1.0',
        'tunefleet_trials{device_class="znver4-2c-0a1b2c@amd-epyc-9r14",state="ok"} 84.0',
        "tunefleet_leases 0.0",
    ):
        assert line in text.splitlines()


def test_metrics_are_those_of_their_table_and_all_that_the_dashboard_asks_for(
    client: TestClient, store: Storage
) -> None:
    answered = set(re.findall(r"(?m)^# TYPE (\S+) gauge$", client.get("/metrics").text))
    table = re.findall(r"(?m)^\| `(tunefleet_\w+)(?:{([\w,]+)})?` \|", (ROOT / "docs/service.md").read_text())
    assert answered == {name for name, _ in table}
    assert len(answered) == 8
    labels = {name: set(filter(None, found.split(","))) for name, found in table}
    dashboard = json.loads((ROOT / "deploy/grafana/tunefleet.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    names = [name for expression in asked for name in re.findall(r"tunefleet_\w+", expression)]
    assert len(names) >= len(asked)
    assert set(names) <= answered
    for name, selected in re.findall(r"(tunefleet_\w+){([^}]*)}", " ".join(asked)):
        assert set(re.findall(r"(\w+)[=!]", selected)) <= labels[name], name
    # What the table has of labels is what there is.
    tuned(store)
    store.devices.see([Sighting("cpu", "host-a", CPU)])
    for name, found in re.findall(r"(?m)^(tunefleet_\w+){(.*)} ", client.get("/metrics").text):
        assert set(re.findall(r"(\w+)=\"", found)) == labels[name], name


def test_a_device_that_drifts_is_told_on_its_pages_by_the_api_and_in_metrics(
    client: TestClient, store: Storage
) -> None:
    tuned(store)
    store.devices.see([Sighting("cpu", "host-a", CPU)])
    check = NewDeviceCheck(
        CPU.device_class, "cpu", "host-a", "known", CheckState.DRIFTED, "run", 60.0, TOOLCHAIN, (0.00134,)
    )
    check = replace(check, time_s=0.00134, reference_s=0.001, drift=0.34, marked=5)
    store.device_checks.put(check, campaign_id=1)
    assert "34% slower" in client.get("/devices").text
    page = " ".join(client.get("/campaigns/1").text.split())
    assert "Drift: cpu was up to 34% slower, up to the last check: 5 measurements are marked" in page
    (device,) = client.get("/api/v1/devices").json()["devices"]
    assert (device["check"]["state"], device["check"]["drift"]) == ("drifted", 0.34)
    line = f'tunefleet_device_drift{{device="cpu",device_class="{CPU.device_class}",host="host-a"}} 0.34'
    assert line in client.get("/metrics").text.splitlines()


def test_the_openapi_document_has_every_way_of_the_api(client: TestClient) -> None:
    document = client.get(f"{API}/openapi.json").json()
    assert {f"{API}/campaigns", f"{API}/models", f"{API}/builds", f"{API}/records"} <= set(document["paths"])
    assert all(path.startswith(API) for path in document["paths"])
