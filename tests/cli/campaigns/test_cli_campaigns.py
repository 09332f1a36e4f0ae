"""Looking at campaigns and steering them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.storage import CampaignState, Storage
from tests.kit.cli_builders import OWNER, Cli, begin, measure, put_campaign, tuned


def test_list_shows_the_newest_first(cli: Cli, store: Storage) -> None:
    tuned(store, name="nightly")
    put_campaign(store, name="later")
    answer = cli("list")
    assert answer.code == 0
    header, first, second = answer.out.splitlines()
    assert header.split() == ["id", "name", "state", "models", "trials", "time", "created"]
    assert first.split()[:4] == ["2", "later", "queued", "squeezenet"]
    assert second.split()[:7] == ["1", "nightly", "done", "squeezenet", "96/96", "3m", "12s"]


def test_list_can_be_narrowed_to_states(cli: Cli, store: Storage) -> None:
    tuned(store)
    put_campaign(store)
    rows = cli("list", "--state", "done", "--json").document["campaigns"]
    assert [row["id"] for row in rows] == [1]
    assert "no campaign is in that state" in cli("list", "--state", "failed").err


def test_list_refuses_a_state_that_is_none(cli: Cli, store: Storage) -> None:
    answer = cli("list", "--state", "asleep")
    assert answer.code == 2
    assert "none of queued, extracting" in answer.err


def test_list_on_a_fresh_machine_says_how_to_begin(cli: Cli) -> None:
    answer = cli("list", db=False)
    assert (answer.code, answer.out) == (0, "")
    assert "no campaigns yet; `tunefleet tune MODEL.onnx` starts one" in answer.err
    assert cli("list", "--json", db=False).document["campaigns"] == []


def test_looking_makes_no_database(cli: Cli, tmp_path: Path) -> None:
    assert cli("show", "1", db=False).code == 3
    assert cli("list", db=False).code == 0
    assert not (tmp_path / "data").exists()


def test_show_tells_tasks_the_dearest_first(cli: Cli, store: Storage) -> None:
    tuned(store)
    answer = cli("show", "campaign-1")
    lines = answer.out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("task"))
    assert [line.split()[0] for line in lines[start + 1 : start + 4]] == [
        "fused_depthwise_conv2d_add_clip2",
        "fused_conv2d_add_relu1",
        "fused_conv2d0",
    ]
    assert "4.00x" not in answer.out
    assert "3.98x" in answer.out
    assert "agree with onnxruntime" in answer.out
    assert "fixed input 'x' to 1x3x224x224" in answer.out
    assert "layout blocked: convolutions and transforms are estimated" in " ".join(answer.out.split())


def test_show_is_loud_about_wrong_outputs(cli: Cli, store: Storage) -> None:
    from tests.kit.cli_builders import verify

    campaign = tuned(store)
    verify(store, campaign, agree=False)
    assert "WRONG, they differ from onnxruntime's: output 'y' is off by 2" in cli("show", "1").out


def test_a_campaign_that_is_not_there_is_not_found(cli: Cli, store: Storage) -> None:
    for command in ("show", "watch", "trials", "pause", "resume", "cancel"):
        answer = cli(command, "9")
        assert answer.code == 3, command
        assert answer.err.strip() == "error: there is no campaign '9'; `tunefleet list` shows them"
        assert answer.out == ""


def test_trials_are_listed_with_how_they_ended(cli: Cli, store: Storage) -> None:
    tuned(store)
    answer = cli("trials", "1")
    header, *rows = answer.out.splitlines()
    assert len(rows) == 96
    assert header.split()[:3] == ["id", "time", "state"]
    failed = rows[5].split()
    assert failed[:3] == ["6", "-", "build_timeout"]
    assert rows[5].endswith("killed after 30 s")


def test_trials_can_be_narrowed(cli: Cli, store: Storage) -> None:
    tuned(store)
    rows = cli("trials", "1", "--state", "run_error", "--limit", "4", "--json").document["trials"]
    assert [row["state"] for row in rows] == ["run_error"] * 4
    assert cli("trials", "1", "--state", "unlucky").code == 2


def test_trials_are_read_page_by_page(cli: Cli, store: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.cli.campaigns.trials._PAGE", 10)
    tuned(store)
    rows = cli("trials", "1", "--limit", "25", "--json").document["trials"]
    assert [row["id"] for row in rows] == list(range(1, 26))


def test_a_priority_is_shown_once_somebody_gave_one(cli: Cli, store: Storage) -> None:
    put_campaign(store)
    put_campaign(store)
    assert "priority" not in cli("list").out + cli("show", "1").out
    assert cli("priority", "1", "-3").out.strip() == "campaign 1 has priority -3"
    header, second, first = cli("list").out.splitlines()
    assert header.split()[:4] == ["id", "name", "state", "priority"]
    assert (first.split()[3], second.split()[3]) == ("-3", "0")
    assert "priority  -3" in cli("show", "1").out
    assert [row["priority"] for row in cli("list", "--json").document["campaigns"]] == [0, -3]
    assert cli("priority", "9", "1").code == 3
    assert cli("priority", "1", "urgent").code == 2


def test_pause_stops_a_campaign_nobody_runs(cli: Cli, store: Storage) -> None:
    put_campaign(store)
    answer = cli("pause", "1")
    assert answer.out.strip() == "campaign 1 is paused"
    assert store.campaigns.get(1).state is CampaignState.PAUSED


def test_pause_asks_whoever_runs_the_campaign(cli: Cli, store: Storage) -> None:
    campaign = put_campaign(store)
    begin(store, campaign)
    answer = cli("pause", "1")
    assert answer.out.strip() == f"{OWNER}, which runs campaign 1, was asked to pause it"
    assert "asked to pause" in cli("show", "1").out


def test_what_is_over_can_not_be_asked(cli: Cli, store: Storage) -> None:
    tuned(store)
    for command in ("pause", "cancel", "resume"):
        answer = cli(command, "1")
        assert answer.code == 2
        assert "campaign 1 is done: nothing to" in answer.err


def test_watch_ends_with_the_campaign(cli: Cli, store: Storage) -> None:
    tuned(store)
    answer = cli("watch", "1")
    assert answer.code == 0
    assert answer.out.startswith("campaign   1")


def test_watch_fails_where_the_campaign_failed(cli: Cli, store: Storage) -> None:
    campaign = put_campaign(store)
    begin(store, campaign)
    measure(store, campaign, of=0, trials=range(3))
    store.campaigns.transition(campaign, CampaignState.FAILED, message="the device is gone", owner=OWNER)
    answer = cli("watch", "1")
    assert answer.code == 1
    assert "error: campaign 1 failed: the device is gone" in answer.err


def test_watch_follows_until_it_rests(cli: Cli, store: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = put_campaign(store)
    begin(store, campaign)
    monkeypatch.setattr("orchestrator.cli.campaigns.watch._WATCH_SECONDS", 0.05)
    monkeypatch.setattr(
        "orchestrator.cli.campaigns.watch.who_runs",
        lambda *_: store.campaigns.transition(campaign, CampaignState.PAUSED, owner=OWNER) and "",
    )
    answer = cli("watch", "1")
    assert answer.code == 1
    assert "paused" in answer.out


def test_resume_leaves_it_to_a_coordinator_where_asked(cli: Cli, store: Storage) -> None:
    put_campaign(store)
    cli("pause", "1")
    answer = cli("resume", "1", "--detach")
    assert answer.out.strip() == "campaign 1 waits for a coordinator"
    assert store.campaigns.get(1).state is CampaignState.QUEUED


def test_resume_asks_a_live_coordinator(cli: Cli, store: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = put_campaign(store)
    begin(store, campaign)
    # A live coordinator takes what it was asked.
    monkeypatch.setattr(
        "orchestrator.cli.campaigns.resume.time.sleep", lambda _: store.campaigns.take_request(campaign)
    )
    answer = cli("resume", "1")
    assert answer.code == 0
    assert f"campaign 1 is run by {OWNER}" in answer.out


@pytest.mark.usefixtures("fleet")
def test_resume_takes_over_from_a_dead_coordinator(
    cli: Cli, store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = put_campaign(store)
    begin(store, campaign)
    measure(store, campaign, of=0, trials=range(10))
    monkeypatch.setattr("orchestrator.cli.campaigns.resume._ANSWER_SECONDS", 0.1)
    answer = cli("resume", "1")
    assert answer.code == 0
    assert "measured 86 trials (11 failed), 10 were stored already" in answer.out
