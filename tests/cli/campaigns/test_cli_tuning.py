"""Tuning from the command line, to the summary at its end."""

from __future__ import annotations

import functools
import os
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.campaigns.running.listener import Listener
from orchestrator.campaigns.running.outcome import Outcome
from orchestrator.errors import EngineError, ModelError, TunefleetError
from orchestrator.storage import CampaignState, Storage
from tests.kit.cli_builders import CPU, Cli
from tests.kit.stand_ins import CannedToolbox, run_campaign


@pytest.mark.usefixtures("fleet")
def test_tune_ends_with_a_table_and_what_to_do_next(cli: Cli, model: Path) -> None:
    answer = cli("tune", str(model))
    assert answer.code == 0
    rows = {line.split()[0]: line.split()[1:] for line in answer.out.splitlines() if line.strip()}
    assert rows["untuned"] == ["40.20", "ms", "1.00x", "5.36x", "10"]
    assert rows["tuned"] == ["10.10", "ms", "3.98x", "1.35x", "25"]
    assert rows["onnxruntime"] == ["7.500", "ms", "5.36x", "1.00x", "25"]
    assert "timed               in 5 turns" in answer.out
    assert "outputs             agree with onnxruntime" in answer.out
    assert "measured 96 trials (12 failed)" in answer.out
    assert f"tunefleet build squeezenet.onnx -o squeezenet.so --db {cli.db}" in answer.out
    assert "tunefleet show 1" in answer.out


@pytest.mark.usefixtures("fleet")
def test_tuning_again_measures_nothing_and_says_so(cli: Cli, model: Path) -> None:
    cli("tune", str(model))
    answer = cli("tune", str(model))
    assert answer.code == 0
    assert "nothing to measure: all 96 trials were stored already" in answer.out


def test_ctrl_c_says_how_to_go_on(cli: Cli, model: Path) -> None:
    paused = functools.partial(run_campaign, state=CampaignState.PAUSED, interrupted=True)
    cli.launch(follow=paused)
    answer = cli("tune", str(model))
    assert answer.code == 130
    assert f"tunefleet resume 1 --db {cli.db}" in answer.err


def test_a_ctrl_c_that_nobody_handled_says_so_too(cli: Cli, model: Path) -> None:
    def interrupted(*_: object, **__: object) -> Outcome:
        raise KeyboardInterrupt

    cli.launch(follow=interrupted)
    answer = cli("tune", str(model), "--json")
    assert answer.code == 130
    assert "tunefleet resume 1" in answer.err
    assert answer.document["error"]["kind"] == "Interrupted"


def test_wrong_outputs_fail_loudly(cli: Cli, model: Path) -> None:
    cli.launch(follow=functools.partial(run_campaign, state=CampaignState.FAILED, agree=False))
    answer = cli("tune", str(model))
    assert answer.code == 1
    assert "WRONG, they differ from onnxruntime's: output 'y' is off by 2" in answer.out
    assert "error: the tuned squeezenet computes something else than onnxruntime" in answer.err
    assert "next:" not in answer.out


def test_a_campaign_that_somebody_cancelled_is_no_success(cli: Cli, model: Path) -> None:
    cli.launch(follow=functools.partial(run_campaign, state=CampaignState.CANCELLED))
    answer = cli("tune", str(model))
    assert answer.code == 1
    assert "campaign 1 was cancelled" in answer.err
    assert "tunefleet resume" not in answer.err


@pytest.mark.parametrize(
    ("error", "code", "may_go_on"),
    [
        (ModelError("squeezenet.onnx: operator 'Foo' of node 'n1' is not supported"), 2, False),
        (EngineError("the disk is full"), 1, True),
    ],
)
def test_what_made_it_fail_is_one_message(
    cli: Cli,
    model: Path,
    store: Storage,
    error: TunefleetError,
    code: int,
    may_go_on: bool,
) -> None:
    def fail(store: Storage, campaign_id: int, **_: object) -> Outcome:
        owner = store.campaigns.get(campaign_id).lease_owner
        store.campaigns.transition(campaign_id, CampaignState.FAILED, message="no", owner=owner)
        raise error

    cli.launch(follow=fail)
    answer = cli("tune", str(model))
    assert answer.code == code
    assert f"error: {error}" in answer.err
    assert ("go on with:\n  tunefleet resume 1" in answer.err) is may_go_on
    assert "Traceback" not in answer.err


def test_options_reach_the_campaign(cli: Cli, model: Path, store: Storage) -> None:
    answer = cli(
        *("submit", str(model), "--name", "nightly", "--trials", "500", "--trials-per-task", "50"),
        *("--time", "1h30m", "--plateau", "20", "--input-shape", "x:1,3,224,224", "--tasks", "conv2d"),
        *("--seed", "7", "--target", "auto", "--target", "llvm", "--target", "auto"),
        *("--number", "5", "--repeat", "3", "--min-repeat-ms", "50", "--timeout", "10s", "--full-timing"),
        "--verify-candidates",
    )
    assert answer.code == 0, answer.err
    row = store.campaigns.get("nightly")
    spec = row.spec
    assert row.state is CampaignState.QUEUED
    assert (spec["trials"], spec["trials_per_task"], spec["plateau"], spec["seed"]) == (500, 50, 20, 7)
    assert (spec["time_s"], spec["tasks"], spec["targets"]) == (5400.0, "conv2d", ["auto", "llvm"])
    assert spec["evaluator"] == {"number": 5, "repeat": 3, "min_repeat_ms": 50, "timeout_s": 10.0}
    assert spec["full_timing"] is True
    assert spec["verify_candidates"] is True
    assert spec["models"] == [{"path": str(model), "shapes": {"x": [1, 3, 224, 224]}}]


@pytest.mark.usefixtures("toolbox")
def test_candidates_can_not_be_compared_everywhere(
    cli: Cli, model: Path, toolbox: type[CannedToolbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("tune", str(model), "--dry-run", "--verify-candidates").code == 0
    gpu = replace(CPU, target="cuda", kind="cuda")
    monkeypatch.setattr(toolbox, "resolve_target", lambda *_: gpu)
    answer = cli("tune", str(model), "--dry-run", "--verify-candidates", "--target", "cuda")
    assert answer.code == 2
    assert "the metaschedule engine can't compare what candidates compute" in answer.err
    assert "for cuda" in answer.err


def test_what_is_not_given_is_left_to_the_campaign(cli: Cli, model: Path, store: Storage) -> None:
    cli("submit", str(model))
    spec = store.campaigns.get(1).spec
    assert (spec["trials"], spec["trials_per_task"], spec["time_s"]) == (None, None, None)
    assert spec["evaluator"]["number"] == 3


def test_a_model_named_twice_is_tuned_once(cli: Cli, model: Path, store: Storage) -> None:
    link = model.with_name("link.onnx")
    link.symlink_to(model)
    cli("submit", str(model), os.path.relpath(model), str(link))
    assert [row.path for row in store.campaigns.models(1)] == [str(model)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--time", "soon"], "'soon' is not a duration; write 90s, 30m or 1h30m"),
        (["--time", "0s"], "a duration must be longer than nothing"),
        (["--timeout", "x"], "'x' is not a duration"),
        (["--input-shape", "x=1,2"], "--input-shape 'x=1,2' is not of the form NAME:1,3,224,224"),
        (["--input-shape", "x:1,0"], "is not of the form"),
        (["--input-shape", "x:1,2", "--input-shape", "x:1,3"], "gives x two shapes"),
        (["--tasks", "conv("], "--tasks 'conv(' is not a pattern"),
        (["--engine", "autotuner"], "there is no engine 'autotuner'; there are: "),
    ],
)
def test_options_that_can_not_be_right_are_refused(
    cli: Cli, model: Path, words: list[str], message: str
) -> None:
    answer = cli("tune", str(model), *words)
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert not cli.db.exists()


@pytest.mark.parametrize("words", [["--trials", "0"], ["--trials", "many"], ["--plateau", "-1"], ["--nope"]])
def test_numbers_that_can_not_be_right_are_refused(cli: Cli, model: Path, words: list[str]) -> None:
    answer = cli("tune", str(model), *words)
    assert answer.code == 2
    assert words[0] in answer.err


def test_a_model_that_is_not_there_is_named(cli: Cli, tmp_path: Path) -> None:
    answer = cli("tune", "nope.onnx")
    assert (answer.code, answer.err.strip()) == (2, "error: there is no file nope.onnx")
    answer = cli("tune", str(tmp_path))
    assert answer.code == 2
    assert "is a folder; name the ONNX file in it" in answer.err


def test_a_name_that_is_taken_is_refused(cli: Cli, model: Path) -> None:
    cli("submit", str(model), "--name", "nightly")
    answer = cli("submit", str(model), "--name", "nightly")
    assert answer.code == 2
    assert "there is a campaign named 'nightly' already" in answer.err


def test_dry_run_says_what_would_be_measured(
    cli: Cli, model: Path, store: Storage, toolbox: type[CannedToolbox]
) -> None:
    answer = cli("tune", str(model), "--dry-run", "--trials-per-task", "10")
    assert answer.code == 0
    assert "3 tasks, 30 trials to measure, 0 are stored already" in answer.out
    assert store.campaigns.newest() == []
    timed = cli("tune", str(model), "--dry-run", "--time", "5m")
    assert "as many trials as the time allows" in timed.out


def test_coordinator_reports_the_campaigns_it_ran(cli: Cli, model: Path) -> None:
    def coordinate(store: Storage, *, listener: Listener | None, **_: object) -> None:
        for row in store.campaigns.newest():
            run_campaign(store, row.id, listener=listener)

    cli.launch(coordinate=coordinate)
    cli("submit", str(model))
    answer = cli("coordinator", "--until-idle", "--json")
    assert answer.code == 0
    assert [row["state"] for row in answer.document["campaigns"]] == ["done"]
    assert "campaign 1 done" in answer.err


def test_a_coordinator_that_was_interrupted_says_so(cli: Cli) -> None:
    def coordinate(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    cli.launch(coordinate=coordinate)
    answer = cli("coordinator", "--json")
    assert answer.code == 130
    assert answer.document["interrupted"] is True
