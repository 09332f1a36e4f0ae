"""Who worked when: the lanes of a campaign's page, as a drawing and in words."""

from __future__ import annotations

import re

from starlette.testclient import TestClient

from orchestrator.documents.details import read_details
from orchestrator.service.pages.timeline import _timeline, timeline_of
from orchestrator.storage import SearchRow, Storage, WorkRow
from tests.kit.cli_builders import begin, measure, put_campaign, tuned


def test_a_lane_is_as_high_as_its_device_is_busy() -> None:
    # Two devices over 120 s, a span each second: the first half the time, the second for one of its seconds.
    rows = [WorkRow("cpu:0", "a", float(at) + 0.5, 0.5, 0.0) for at in range(120)]
    rows += [WorkRow("cpu:1", "a", 61.0, 1.0, 3.0), WorkRow("", "", 90.0, 0.0, 30.0)]
    found = _timeline(rows, [], 0.0, 120.0, cut=False)
    first, second = found.devices
    assert (first.name, first.count, first.said) == ("cpu:0 measured", 120, "50.0%")
    assert first.outline == "M0 1V0.50H120V1Z"
    assert round(first.pause_s, 6) == 0.5
    assert second.outline == "M0 1V1.00H60V0.00H61V1.00H120V1Z"
    # Builds end where their measurements begin; two of them never ran at once here.
    assert found.builds is not None
    assert found.builds.said == "0.3 at once"
    assert found.builds.parts[57:61] == (1.0, 1.0, 1.0, 1.0)
    # From 57 to 90 something was built or measured; else the first device, half of the time.
    assert round(found.idle * 120, 6) == 120 - (33 + 87 * 0.5)


def test_what_ran_before_the_window_and_on_two_hosts_is_told_apart() -> None:
    rows = [WorkRow("cpu:0", host, 10.0, 4.0, 0.0) for host in ("a", "b")]
    found = _timeline(rows, [], 8.0, 12.0, cut=True)
    assert [lane.name for lane in found.lanes] == ["cpu:0 on a measured", "cpu:0 on b measured"]
    assert found.devices[0].said == "50.0%"
    assert found.idle == 0.5


def test_searches_have_a_lane_for_each_host() -> None:
    rows = [WorkRow("cpu:0", "a", 100.0, 10.0, 0.0)]
    searches = [SearchRow("a", 0.0, 60.0), SearchRow("a", 30.0, 60.0), SearchRow("b", 110.0, 10.0)]
    found = _timeline(rows, searches, 0.0, 120.0, cut=False)
    here, there = found.searches
    assert (here.name, here.count, here.most, here.said) == ("searches on a", 2, 2.0, "1.0 at once")
    assert here.parts[:90] == (1.0,) * 30 + (2.0,) * 30 + (1.0,) * 30
    assert (there.name, there.count) == ("searches on b", 1)
    assert round(found.idle * 120, 6) == 10
    alone = _timeline(rows, searches[:2], 0.0, 120.0, cut=False)
    assert [lane.name for lane in alone.searches] == ["searches"]


def test_a_campaigns_page_and_its_report_show_who_worked(client: TestClient, store: Storage) -> None:
    assert "Who worked when" not in client.get(f"/campaigns/{put_campaign(store)}").text
    campaign = put_campaign(store)
    begin(store, campaign)
    for of in range(3):
        measure(store, campaign, of=of, trials=range(8))
    timeline = timeline_of(store, read_details(store, campaign))
    assert timeline is not None
    assert [(lane.name, lane.count) for lane in timeline.lanes] == [
        ("cpu:0 measured", 24),
        ("candidates built", 24),
    ]
    page = client.get(f"/campaigns/{campaign}").text
    drawing = r'<svg [^>]*role="img" aria-label="cpu:0 measured, over time: \d+(\.\d+)?% on average">'
    assert re.search(drawing, page)
    # In words for who sees no drawing.
    assert re.search(r'<th scope="row">candidates built</th><td class="n">[\d.]+ at once</td>', page)


def test_a_report_has_the_timeline_in_it(client: TestClient, store: Storage) -> None:
    report = client.get(f"/api/v1/campaigns/{tuned(store)}/report")
    assert report.headers["content-disposition"] == 'attachment; filename="campaign-1.html"'
    assert "Who worked when" in report.text
