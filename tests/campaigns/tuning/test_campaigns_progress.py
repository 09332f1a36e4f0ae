"""The curve of a campaign, and what is told by it."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning.progress import FLAT_SECONDS, MoreTime, Progress, latencies
from orchestrator.storage import Inside, Storage
from tests.kit.planned_campaigns import plan

ONE, TWO = (1, "cpu-a"), (2, "cpu-a")


def curve(*points: tuple[float, float], until: float | None = None) -> Progress:
    progress = Progress({} if until is None else {ONE: until})
    for at_s, latency_s in points:
        progress.note(at_s, {ONE: latency_s})
    return progress


def test_it_is_enough_once_every_model_is_as_fast_as_it_was_to_become() -> None:
    progress = Progress({ONE: 0.005, TWO: 0.010})
    progress.note(1.0, {ONE: 0.005, TWO: 0.011})
    assert progress.enough(1.0, math.inf) == ""
    progress.note(2.0, {ONE: 0.006, TWO: 0.010})
    assert progress.enough(2.0, math.inf) == ""
    progress.note(3.0, {ONE: 0.005, TWO: 0.009})
    assert progress.enough(3.0, math.inf).startswith("--until was reached")


def test_a_model_of_which_a_task_has_no_time_is_not_fast_enough_nor_on_the_curve() -> None:
    progress = curve((1.0, math.inf), until=1.0)
    assert not progress.reached
    assert progress.more_time(1.0) is None


def test_what_another_toolchain_measured_is_no_time(tmp_path: Path) -> None:
    spec = CampaignSpec.of({"models": [{"path": "/model.onnx"}], "trials_per_task": 4})
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}") as store:
        campaign_id, made = plan(store, spec, (1,))
        (row,) = store.tasks.of_campaign(campaign_id)
    known = replace(row, best_s=0.5, best_stale=False)
    (seconds,) = latencies(made.models, [known]).values()
    assert math.isfinite(seconds)
    (seconds,) = latencies(made.models, [replace(known, best_stale=True)]).values()
    assert seconds == math.inf


def test_a_task_without_a_time_takes_what_it_took_in_the_first_library(tmp_path: Path) -> None:
    spec = CampaignSpec.of({"models": [{"path": "/model.onnx"}], "trials_per_task": 4})
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}") as store:
        campaign_id, made = plan(store, spec, (1, 2))
        first, second = store.tasks.of_campaign(campaign_id)
    seen = Inside(3.0, None, datetime.now(timezone.utc))
    rows = [replace(first, best_s=0.5), replace(second, inside=seen)]
    # Called once and twice.
    assert list(latencies(made.models, rows).values()) == [6.5]
    rows[1] = replace(second, inside=replace(seen, alone_s=2.0), best_s=1.5)
    assert list(latencies(made.models, rows).values()) == [5.5]


def test_without_a_limit_nothing_is_reached() -> None:
    assert not curve((1.0, 0.0)).reached


def test_what_more_time_would_bring_is_what_the_second_half_did() -> None:
    progress = curve((10.0, 0.008), (30.0, 0.004), (90.0, 0.003))
    assert progress.more_time(100.0) == MoreTime(100.0, 0.25)
    assert progress.more_time(60.0) == MoreTime(60.0, 0.0)
    # By the half of that, not all tasks had a time.
    assert progress.more_time(19.0) is None


def test_best_times_that_came_out_longer_when_measured_again_are_no_gain() -> None:
    assert curve((10.0, 0.004), (30.0, 0.005)).more_time(30.0) == MoreTime(30.0, 0.0)


def test_a_flat_curve_ends_it_where_what_is_left_would_bring_next_to_nothing() -> None:
    hour = 6 * FLAT_SECONDS
    flat = curve((10.0, 0.00500), (500.0, 0.00499))
    assert flat.enough(FLAT_SECONDS, hour).startswith(f"tuning ended {hour - FLAT_SECONDS:.0f} s early")
    # Before ten minutes, and without an end, it goes on.
    assert flat.enough(FLAT_SECONDS - 1, hour) == ""
    assert flat.enough(FLAT_SECONDS, math.inf) == ""
    # As little for each doubling comes to more in a time that is longer by far.
    assert flat.enough(FLAT_SECONDS, 1000 * hour) == ""
    steep = curve((10.0, 0.0050), (500.0, 0.0049))
    assert steep.enough(FLAT_SECONDS, hour) == ""
