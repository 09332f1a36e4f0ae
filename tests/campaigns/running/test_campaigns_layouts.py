"""A real campaign of a model of which two layouts are close, and what is built after it."""

from __future__ import annotations

from pathlib import Path

import pytest

import orchestrator as tf
from orchestrator.campaigns.planning.tryouts import TRIED
from orchestrator.storage import CampaignState, TaskState
from tests.kit.followed import RAYS_OWN, Followed, everything_is_gone, url_of
from tests.kit.small_convolutions import save_convolutions

pytestmark = pytest.mark.slow


def spec(model: Path, **changes: object) -> tf.CampaignSpec:
    return tf.CampaignSpec.of(
        {
            "models": [{"path": str(model)}],
            "trials_per_task": 25,
            "search": {"population": 32, "generations": 1},
            "evaluator": {"min_repeat_ms": 20},
            **changes,
        }
    )


def decided_alike(url: str, campaign: int, model: Path, library: Path) -> None:
    """The decision, the campaign's tasks, its comparison and a build in this process are of one layout."""
    with tf.Storage.open(url) as store:
        assert store.campaigns.get(campaign).state is CampaignState.DONE
        (row,) = store.layouts.of_campaign(campaign)
        assert {row.chosen, row.other} == {"blocked", "nhwc"}
        assert row.chosen_s is not None
        assert row.other_s is not None
        assert row.chosen_s <= row.other_s
        tasks = store.tasks.of_campaign(campaign)
        assert {task.state for task in tasks} <= {TaskState.SATISFIED, TaskState.EXHAUSTED}
        losers = [task for task in tasks if task.weight == 0]
        assert losers
        assert all(task.stored <= TRIED for task in losers)
        with tf.Toolbox("metaschedule") as tools:
            report = tf.build_model(store, tools, tf.ModelRequest(path=str(model)), library)
        assert report.coverage.tuned == len(report.coverage.tasks)
        assert {task.workload_hash for task in report.coverage.tasks} == {
            task.workload_hash for task in tasks if task.weight
        }


def test_a_campaign_tries_both_layouts_out_and_builds_take_the_faster(tmp_path: Path) -> None:
    model = save_convolutions(tmp_path / "small.onnx", channels=(16, 32, 16), pixels=16)
    url = url_of(tmp_path / "records.db")
    with tf.Storage.open(url) as store:
        campaign = tf.submit(store, spec(model), hold=True).id
        outcome = tf.follow(store, campaign)
        assert [report.outputs_agree for report in outcome.reports] == [True]
        assert outcome.reports[0].tasks_tuned == outcome.reports[0].tasks_total
    decided_alike(url, campaign, model, tmp_path / "small.so")


def test_a_campaign_killed_at_its_decision_goes_on_and_decides_once(tmp_path: Path) -> None:
    model = save_convolutions(tmp_path / "small.onnx", channels=(16, 32, 16), pixels=16)
    url = url_of(tmp_path / "records.db")
    with tf.Storage.open(url) as store:
        campaign = tf.submit(store, spec(model)).id
        first = Followed(url, campaign)
        first.wait_until(lambda: store.layouts.of_campaign(campaign), "it is decided", 240)
        first.kill()
        everything_is_gone(first, but=RAYS_OWN)
        (before,) = store.layouts.of_campaign(campaign)
        second = Followed(url, campaign)
        assert second.end(400).get("state") == "done", second.said
        assert store.layouts.of_campaign(campaign) == [before]
    decided_alike(url, campaign, model, tmp_path / "small.so")
