"""The pages: what they say, what goes with them, and that nothing of a name is run."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import orchestrator.service
from orchestrator.service.headers import CONTENT_POLICY
from orchestrator.service.pages import charts
from orchestrator.service.pages.render import json_for_html
from orchestrator.storage import NewCampaignModel, Sighting, Storage, TokenScope
from tests.kit.cli_builders import CPU, Cli, begin, profiled, put_campaign, rename, tuned
from tests.kit.documented import assert_documented
from tests.kit.service_client import bearer, token

STATIC = Path(orchestrator.service.__file__).parent / "static"
PAGES = (
    *("/", "/?state=any", "/?state=done", "/campaigns/1", "/models", "/models/1", "/devices", "/store"),
    *(
        "/compare",
        "/compare?first=1&second=2",
        "/submit",
        "/access",
        "/login",
        "/campaigns/3",
        "/campaigns/4",
    ),
)
HOSTILE = "<script>alert(1)</script>' OR 1=1 --"


class Outline(HTMLParser):
    """What a page consists of: its elements, and the attributes that run something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.running: list[str] = []
        self.sources: list[str] = []
        self.ids: list[str] = []
        self.script = ""
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.running += [name for name in found if name.startswith("on") or name == "style"]
        self.sources += [str(found[name]) for name in ("src", "href", "action") if name in found]
        self.ids += [str(found["id"])] if "id" in found else []
        self.script = str(found.get("type", "run")) if tag == "script" and "src" not in found else ""

    def handle_data(self, data: str) -> None:
        if self.script == "run" and data.strip():
            self.inline.append(data)


def outline(text: str) -> Outline:
    found = Outline()
    found.feed(text)
    return found


@pytest.fixture
def full(store: Storage, client: TestClient) -> Storage:
    """Two campaigns that are done, one under way whose name is an attack, and a device that failed."""
    tuned(store)
    tuned(store, budget=48)
    store.profiles.add(1, CPU.device_class, profiled(HOSTILE))
    begin(store, put_campaign(store, time_s=600.0))
    rename(store, 3, HOSTILE)
    store.campaigns.create(
        engine="metaschedule",
        spec={"targets": [HOSTILE]},
        models=[NewCampaignModel(f"/models/{HOSTILE}.onnx")],
    )
    store.devices.see([Sighting(HOSTILE, HOSTILE, CPU, "quarantined", f"{HOSTILE}\nline two", 12.0)])
    token(store, TokenScope.READ, HOSTILE)
    store.tokens.revoke(HOSTILE)
    client.headers.update(bearer(token(store)))
    return store


@pytest.mark.usefixtures("full")
def test_every_page_is_shown_and_runs_nothing_but_our_own(client: TestClient) -> None:
    for path in PAGES:
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["content-security-policy"] == CONTENT_POLICY
        assert answer.headers["cache-control"] == "no-store"
        found = outline(answer.text)
        assert found.running == [], path
        assert found.inline == [], path
        assert all(one.startswith(("/", "#")) and not one.startswith("//") for one in found.sources), path
        assert HOSTILE not in answer.text, path
        assert len(found.ids) == len(set(found.ids)), path
        assert found.tags.count("h1") == 1, path


@pytest.mark.usefixtures("full")
def test_a_campaigns_page_answers_at_a_glance(client: TestClient) -> None:
    text = client.get("/campaigns/1").text
    for said in (
        "1.43 ms",
        "96 of 96",
        "fused_depthwise_conv2d_add_clip2",
        "build_timeout",
        "0.74x",
        "agree",
    ):
        assert said in text, said
    chart = json.loads(re.search(r'id="chart-data">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
    assert chart["curves"][0]["points"]
    assert len(chart["task"]["points"]) == 32
    assert len(chart["tasks"]) == 3
    other = client.get(f"/campaigns/1/charts?task={chart['tasks'][1]['id']}").json()
    assert other["task"]["name"] == chart["tasks"][1]["name"]
    assert client.get("/campaigns/1/charts?task=999").status_code == 404


@pytest.mark.usefixtures("full")
def test_of_many_trials_the_last_are_drawn_and_all_are_counted(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charts, "_MOST_POINTS", 3)
    task = client.get("/campaigns/1/charts").json()["task"]
    assert len(task["points"]) == 3
    assert task["trials"] == 32


@pytest.mark.usefixtures("full")
def test_a_models_page_says_where_its_time_goes_beside_onnxruntime(client: TestClient) -> None:
    text = client.get("/models/1").text
    for said in (
        "Inside the model, beside onnxruntime",
        "fused_conv2d0",
        "140 µs",
        "-60.0 µs",
        "1 smaller ones",
    ):
        assert said in text, said
    assert "/api/v1/models/1/profile/trace?device=" in text


@pytest.mark.usefixtures("full")
def test_a_page_that_is_not_there_says_so_as_a_page(client: TestClient) -> None:
    for path in ("/campaigns/99", "/nothing", "/models/99", "/campaigns/%3Cscript%3E"):
        answer = client.get(path)
        assert answer.status_code == 404
        found = outline(answer.text)
        assert found.inline == []
        assert "h1" in found.tags


def test_pages_of_an_empty_store_say_what_to_do(client: TestClient) -> None:
    for path, said in (
        ("/", "Submit one"),
        ("/models", "No campaign has prepared"),
        ("/devices", "No device"),
        ("/store", "trials"),
        ("/access", "tunefleet tokens create"),
    ):
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        assert said in answer.text


def test_events_keep_a_page_up_to_date_until_the_campaign_has_ended(
    client: TestClient, full: Storage
) -> None:
    text = client.get("/campaigns/1/live").text
    names = [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]
    assert names == ["status", "timeline", "tasks", "outcome", "charts", "end"]


def test_data_in_a_page_ends_no_element() -> None:
    text = json_for_html({"name": "</script><!--\u2028&"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"name": "</script><!--\u2028&"}


def test_a_report_is_one_file_that_asks_for_nothing(full: Storage, tmp_path: Path) -> None:
    cli = Cli(tmp_path / "records.db")
    file = tmp_path / "report.html"
    answer = cli("report", "3", "-o", str(file), "--json")
    assert answer.code == 0, answer.err
    assert_documented(answer.document)
    assert answer.document["size_bytes"] == file.stat().st_size
    text = file.read_text()
    found = outline(text)
    assert found.sources == []
    assert HOSTILE not in text
    assert "url(" not in text
    assert cli("report", "99", "-o", str(file)).code == 3
    assert file.read_text() == text


def test_the_libraries_of_others_are_what_their_page_says() -> None:
    rows = re.findall(
        r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (STATIC / "vendor/README.md").read_text(), re.MULTILINE
    )
    shipped = {path.name for path in (STATIC / "vendor").iterdir() if path.suffix in (".js", ".css")}
    assert {name for name, _ in rows} == shipped
    for name, digest in rows:
        assert hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == digest, name


def test_neither_ray_nor_tvm_is_in_the_services_process() -> None:
    code = "import sys, orchestrator.service.run, orchestrator.service.report; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"ray", "tvm", "onnx", "onnxruntime", "torch"}
