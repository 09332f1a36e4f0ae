"""What is said of two layouts that are close: before, where nothing was decided, and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.storage import NewLayoutDecision, NewTask, Storage
from tests.kit.cli_builders import OWNER, Cli, put_campaign
from tests.kit.close_layouts import CloseToolbox
from tests.kit.documented import assert_documented
from tests.kit.planned_campaigns import CPU, workload


class Close(CloseToolbox):
    """Of any engine."""

    def __init__(self, engine: str) -> None:
        super().__init__()
        self.engine = engine


@pytest.fixture
def close(cli: Cli) -> None:
    cli.launch(toolbox=Close)


def told(text: str) -> str:
    return " ".join(text.split())


def decide(store: Storage) -> int:
    """Store a campaign of the model that the store has, with a decision for NHWC."""
    campaign_id = put_campaign(store, layout="auto")
    assert store.leases.acquire(campaign_id, OWNER, 60.0)
    store.campaigns.set_model(campaign_id, 0, 1)
    planned = NewTask(workload(1).hash, CPU.device_class, "task1", 1, 5)
    store.tasks.put(campaign_id, [planned], owner=OWNER)
    return campaign_id


@pytest.mark.usefixtures("close")
def test_a_plan_says_what_is_to_be_tried_out(cli: Cli, model: Path) -> None:
    answer = cli("tune", str(model), "--dry-run", "--trials-per-task", "100")
    assert answer.code == 0, answer.err
    assert (
        "squeezenet: the layouts blocked and nhwc are close; each is tried out, 5 trials of each task in "
        "which they differ, and the faster one gets the rest" in told(answer.out)
    )
    assert "to try its layout out" in told(answer.out)
    document = cli("tune", str(model), "--dry-run", "--json").document
    assert_documented(document, example="tune-plan")
    assert [(m["layout"], m["tried_against"]) for m in document["models"]] == [("blocked", "nhwc")]
    small = cli("tune", str(model), "--dry-run", "--trials", "20")
    assert "were not tried out, since 10 trials of the one that loses are more than a fifth of 20" in told(
        small.out
    )


@pytest.mark.usefixtures("close")
def test_tasks_and_show_say_that_a_close_layout_was_not_tried_out(
    cli: Cli, store: Storage, model: Path
) -> None:
    said = (
        "layout blocked: estimated to take blocks 1.2 ms; NHWC 1.3 ms; not tried out against nhwc, which is"
    )
    assert said in told(cli("tasks", str(model)).out)
    document = cli("tasks", str(model), "--json").document
    assert (document["layout_alternative"], document["layout_tried"]) == ("nhwc", None)
    decide(store)
    assert said in told(cli("show", "1").out)
    (layout,) = cli("show", "1", "--json").document["models"][0]["layouts"]
    assert (layout["layout"], layout["alternative"], layout["tried"]) == ("blocked", "nhwc", None)


@pytest.mark.usefixtures("close")
def test_tasks_and_show_say_what_was_decided_and_by_how_much(cli: Cli, store: Storage, model: Path) -> None:
    cli("tasks", str(model))
    campaign_id = decide(store)
    version = Close("").engine_version()
    why = (
        "tried out against blocked, 5 trials of each task: where they differ, it takes 1 ms and blocked 2 ms"
    )
    decision = NewLayoutDecision(1, CPU.device_class, version, "nhwc", "blocked", 0.001, 0.002, why)
    store.layouts.decide(campaign_id, decision, {"blocked": [], "nhwc": []}, owner=OWNER)
    said = f"layout nhwc: {why}; estimated to take blocks 1.2 ms; NHWC 1.3 ms"
    answer = cli("tasks", str(model))
    assert said in told(answer.out)
    assert ["task5" in answer.out, "task3" in answer.out] == [True, False]
    assert said in told(cli("show", "1").out)
    document = cli("show", "1", "--json").document
    assert_documented(document)
    (layout,) = document["models"][0]["layouts"]
    assert (layout["layout"], layout["alternative"]) == ("nhwc", None)
    assert (layout["tried"]["chosen"], layout["tried"]["other_s"]) == ("nhwc", 0.002)
    document = cli("tasks", str(model), "--json").document
    assert (document["layout"], document["layout_tried"]["chosen_s"]) == ("nhwc", 0.001)
    # The other one was asked for by name: nothing was decided about that.
    other = cli("tasks", str(model), "--layout", "blocked", "--json").document
    assert (other["layout"], other["layout_tried"]) == ("blocked", None)
