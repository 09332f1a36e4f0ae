"""The service in a real browser, its API asked everything, and its pages looked at by axe."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.service.pages import charts
from orchestrator.service.report import report_of
from orchestrator.storage import CampaignState, Sighting, Storage, TokenScope
from tests.kit.cli_builders import CPU, OWNER, begin, measure, put_campaign, task_name, trial, tuned
from tests.kit.service_client import token
from tests.kit.service_server import serving
from tests.kit.tiny_models import save

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

# Where the pictures go, for people to look at; nowhere, where it isn't said.
_PICTURES = os.environ.get("TUNEFLEET_TEST_PICTURES")
_AXE = os.environ.get("TUNEFLEET_TEST_AXE", "")
_PAGES = (
    *("/", "/campaigns/1", "/campaigns/3", "/models", "/models/1", "/devices", "/store", "/access"),
    *("/compare?first=1&second=2", "/submit", "/login", "/campaigns/99"),
)


def _lacks(why: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    if importlib.util.find_spec("playwright") is None:
        _lacks("there is no playwright: pip install playwright")
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium")
    if found is None:
        _lacks("there is no chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        # As root, Chromium has no sandbox.
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages that fail the test where a script of theirs does, or something was kept from being run."""
    contexts = []
    wrong: list[str] = []

    def make(**settings: Any) -> Page:
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if _is_wrong(said) else None)
        return page

    yield make
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def full(store: Storage) -> Storage:
    """Two campaigns that are done, one under way, a device that failed."""
    tuned(store)
    tuned(store, budget=48)
    begin(store, put_campaign(store, name="<b>under way", time_s=600.0), tasks=5, budget=64)
    measure(store, 3, of=3, trials=range(20))
    store.devices.see([Sighting("cpu:0", "host-a", CPU, "quarantined", "lost\nthree times", 12.0)])
    return store


def _is_wrong(said: ConsoleMessage) -> bool:
    """Whether a script, or the policy, complains; not that a page isn't there, or the service by now.

    A stream that breaks off is an event that htmx writes.
    """
    return said.type == "error" and not any(
        part in said.text for part in ("404", "net::ERR_", "[object Event]")
    )


def picture(page: Page, name: str) -> None:
    if _PICTURES:
        page.screenshot(path=Path(_PICTURES, f"{name}.png"), full_page=True)


@pytest.mark.service
def test_a_campaign_is_submitted_watched_paused_resumed_and_read(
    new_page: Callable[..., Page], tmp_path: Path
) -> None:
    db = tmp_path / "records.db"
    model = save(tmp_path / "tiny.onnx")
    with serving(db, "--coordinator") as address:
        page = new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{address}/submit")
        page.set_input_files("input[type=file]", model)
        page.get_by_text("tiny.onnx is uploaded").wait_for()
        page.fill("input[name=minutes]", "")
        page.fill("input[name=trials]", "64")
        page.fill("input[name=name]", "from the page")
        page.fill("input[name=revalidate]", "2")
        page.get_by_label("Compare what each candidate computes").check()
        page.get_by_role("button", name="Submit").click()
        page.wait_for_url(re.compile(r"/campaigns/1$"))
        page.locator(".state.tuning").wait_for(timeout=180_000)
        page.get_by_text("trials with a time").wait_for(timeout=120_000)
        picture(page, "moving")
        page.get_by_role("button", name="Pause").click()
        page.locator(".state.paused").wait_for(timeout=60_000)
        page.get_by_role("button", name="Resume").click()
        page.locator(".state.done").wait_for(timeout=300_000)
        page.get_by_role("heading", name="Compared with onnxruntime").wait_for()
        page.get_by_role("cell", name="agree", exact=True).wait_for()
        page.get_by_role("img", name="measured, over time").wait_for()
        page.get_by_text("In numbers").click()
        page.get_by_role("row", name="candidates built").wait_for()
        page.get_by_role("button", name="Pause").wait_for(state="hidden")
        page.wait_for_timeout(2500)
        picture(page, "done")
        with Storage.open(str(db)) as store:
            row = store.campaigns.get("from the page")
            assert row.state is CampaignState.DONE
            assert (row.spec["revalidate"], row.spec["verify_candidates"]) == (2, True)
            assert [row.action for row in store.audit.newest()] == ["resume", "pause", "submit", "upload"]


def test_a_page_moves_with_its_campaign(new_page: Callable[..., Page], full: Storage, tmp_path: Path) -> None:
    with serving(tmp_path / "records.db") as address:
        page = new_page()
        page.goto(f"{address}/campaigns/3")
        page.get_by_role("heading", name="Tasks").wait_for()
        before = page.locator("[sse-swap=status]").inner_text()
        page.locator("[data-says=trials]").get_by_text("trials with a time").wait_for()
        measure(full, 3, of=4, trials=range(24))
        page.wait_for_function(
            "before => document.querySelector('[sse-swap=status]').innerText !== before", arg=before
        )
        # The drawing follows, and the way to another task's.
        page.select_option("[data-task]", label="fused_max_pool2d4")
        page.locator("[data-says=trials]").get_by_text("21 trials with a time").wait_for()
        page.locator("[data-chart=trials] canvas").wait_for()


@pytest.mark.service
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_pages_fit_phones_and_screens_and_axe_finds_nothing(
    new_page: Callable[..., Page], full: Storage, tmp_path: Path, scheme: str, width: int
) -> None:
    if not Path(_AXE).is_file():
        _lacks("TUNEFLEET_TEST_AXE doesn't name axe.min.js: npm pack axe-core")
    with serving(tmp_path / "records.db") as address:
        # axe is put into the page from outside, which the page's own policy would refuse.
        page = new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
        for path in _PAGES:
            page.goto(f"{address}{path}")
            page.wait_for_timeout(300)
            picture(page, f"{scheme}-{width}-{re.sub(r'[^a-z0-9]+', '-', path).strip('-') or 'home'}")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            page.add_script_tag(path=_AXE)
            found = page.evaluate("axe.run().then(found => found.violations)")
            told = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]
            assert told == [], path


def test_everything_is_reached_with_the_keyboard(
    new_page: Callable[..., Page], full: Storage, tmp_path: Path
) -> None:
    with serving(tmp_path / "records.db") as address:
        page = new_page()
        page.goto(f"{address}/campaigns/3")
        reached = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.innerText.trim().split('\\n')[0]"))
        assert {"Skip to the content", "Campaigns", "Submit", "Pause", "Resume", "Cancel", "Set"} <= reached
        page.goto(f"{address}/campaigns/3")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"


def test_a_token_opens_the_pages_and_its_scope_says_which(
    new_page: Callable[..., Page], full: Storage, tmp_path: Path
) -> None:
    reader = token(full, TokenScope.READ, "reader")
    with serving(tmp_path / "records.db") as address:
        page = new_page()
        page.goto(f"{address}/login")
        page.fill("input[name=token]", reader)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name="Campaigns").wait_for()
        assert page.get_by_role("link", name="Submit").count() == 0
        assert page.evaluate("document.cookie") == ""
        page.goto(f"{address}/campaigns/3")
        assert page.get_by_role("button", name="Pause").count() == 0
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("heading", name="Log in").wait_for()


def test_a_report_is_read_without_a_service(
    new_page: Callable[..., Page], full: Storage, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    command = ["report", "1", "-o", str(file), "--db", str(tmp_path / "records.db")]
    subprocess.run(
        [sys.executable, "-c", "from orchestrator.cli import main; main()", *command], check=True, timeout=60
    )
    page = new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.locator("[data-chart=curve] canvas").wait_for()
    page.select_option("[data-task]", label="fused_conv2d0")
    page.locator("[data-says=trials]").get_by_text("28 trials with a time, 4 failed").wait_for()
    picture(page, "report")
    assert asked == [file.as_uri()]


def test_of_many_trials_the_last_are_drawn_and_the_best_is_that_of_all(
    new_page: Callable[..., Page], full: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = trial(40, 3, of=3)
    slow = replace(slow, measurement=replace(slow.measurement, times=(1.0,)))
    full.trials.record([slow], campaign_id=3, owner=OWNER)
    monkeypatch.setattr(charts, "_MOST_POINTS", 3)
    file = tmp_path / "report.html"
    file.write_text(report_of(full, 3))
    page = new_page()
    page.goto(file.as_uri())
    page.select_option("[data-task]", label=task_name(3))
    said = page.locator("[data-says=trials]")
    said.get_by_text("Of 21 trials the last 3 are drawn.").wait_for()
    said.get_by_text("3 trials with a time: the best takes 420 µs a call").wait_for()
    monkeypatch.setattr(charts, "_MOST_POINTS", 1)
    file.write_text(report_of(full, 3))
    page.goto(file.as_uri())
    page.select_option("[data-task]", label=task_name(3))
    said.get_by_text("1 trials with a time: the best takes 420 µs a call").wait_for()


@pytest.mark.service
def test_nothing_that_the_openapi_document_allows_is_a_fault(full: Storage, tmp_path: Path) -> None:
    schemathesis = Path(sys.executable).with_name("schemathesis")
    if not schemathesis.is_file():
        _lacks("there is no schemathesis: pip install 'tunefleet[browser]'")
    text = token(full, TokenScope.ADMIN)
    with serving(tmp_path / "records.db") as address:
        done = subprocess.run(
            [
                *(str(schemathesis), "run", f"{address}/api/v1/openapi.json", "--seed", "1"),
                *("--checks", "not_a_server_error,content_type_conformance,response_schema_conformance"),
                *("--max-examples", "40", "--exclude-path-regex", "/events$", "--request-timeout", "30"),
                *("-H", f"Authorization: Bearer {text}"),
            ],
            capture_output=True,
            text=True,
            timeout=900,
            cwd=tmp_path,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-5000:]
