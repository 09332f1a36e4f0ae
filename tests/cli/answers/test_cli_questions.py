"""Questions to the record store."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from orchestrator.storage import Storage
from orchestrator.toolbox import Toolbox
from tests.kit.cli_builders import CPU, Cli, put_campaign, put_known_model, trial, tuned, workload

BOARD = dataclasses.replace(CPU, target='{"kind": "llvm", "mcpu": "a53"}', device_class="a53-4c@board")


def no_toolbox(engine: str) -> Toolbox:
    raise AssertionError(f"nothing is to be asked of the {engine} engine")


@pytest.fixture
def known(cli: Cli, model: Path, store: Storage) -> Path:
    """A tuned model that the store knows: whoever starts an engine process for it fails."""
    cli.launch(toolbox=no_toolbox)
    tuned(store)
    put_known_model(store, model)
    return model


def on_board(store: Storage, model: Path) -> None:
    """One task of the model has a time on another device, too."""
    put_known_model(store, model, device=BOARD)
    store.trials.record([dataclasses.replace(trial(0, 1, of=1), device_class=BOARD.device_class)])


def test_best_lists_every_workload_that_is_stored(cli: Cli, store: Storage) -> None:
    tuned(store)
    answer = cli("best", "--sort", "name")
    header, *rows = answer.out.splitlines()
    assert header.split() == ["task", "best", "GFLOP/s", "trials", "failed", "recorded", "workload"]
    assert [row.split()[:6] for row in rows] == [
        ["conv2d", "103", "µs", "19.4", "32", "4"],
        ["conv2d_add_relu", "206", "µs", "19.4", "32", "4"],
        ["depthwise_conv2d_add_clip", "309", "µs", "19.4", "32", "4"],
    ]


def test_best_is_narrowed_ordered_and_cut(cli: Cli, store: Storage, model: Path) -> None:
    tuned(store)
    on_board(store, model)

    def names(*words: str) -> list[str]:
        return [row["name"] for row in cli("best", *words, "--json").document["best"]]

    assert names("--device", "board") == ["conv2d_add_relu"]
    assert names("--sort", "slowest", "--device", "znver4", "--limit", "1") == ["depthwise_conv2d_add_clip"]
    assert names("--tasks", "conv2d$") == ["conv2d"]
    assert len(names("--engine", "metaschedule")) == 4
    answer = cli("best", "--limit", "1")
    assert "there are more; --limit 0 lists all of them" in answer.err
    assert cli("best", "--limit", "1", "--json").document["more"] is True
    assert "device" in cli("best").out.splitlines()[0]


def test_best_of_what_nobody_measured_says_so(cli: Cli, store: Storage) -> None:
    assert "nothing is stored yet; `tunefleet tune MODEL.onnx`" in cli("best").err
    answer = cli("best", "--device", "h100")
    assert answer.code == 3
    assert "no device class is stored yet" in answer.err
    tuned(store)
    answer = cli("best", "--tasks", "lstm", "--json")
    assert (answer.code, answer.document["best"]) == (0, [])
    assert "no trial of such a workload succeeded" in answer.err
    assert cli("best", "--sort", "cheapest").code == 2
    assert cli("best", "--tasks", "(").code == 2
    assert cli("best", "--engine", "nothing").code == 2


def test_history_shows_each_trial_that_bettered_the_model(cli: Cli, known: Path) -> None:
    answer = cli("history", str(known))
    assert answer.code == 0, answer.err
    header, *rows = answer.out.splitlines()
    assert header.split() == ["recorded", "trials", "tasks", "a", "run", "gain", "campaign", "task"]
    # 28 of each task's 32 trials succeed, each a little faster than the one before.
    assert len(rows) == 3 * 28 + 2
    assert rows[0].split()[2:] == ["1", "1/3", "200", "µs", "first", "1", "fused_conv2d0"]
    assert rows[1].split()[2:] == ["2", "1/3", "150", "µs", "25.0%", "1", "fused_conv2d0"]
    assert answer.out.splitlines()[-1].startswith("squeezenet on znver4-2c@amd-epyc-9r14: ")
    points = cli("history", str(known), "--limit", "2", "--json").document["improvements"]
    assert [point["trials"] for point in points] == [95, 96]
    assert points[-1]["expected_s"] == pytest.approx((1 + 2 * 2 + 3 * 3) * 1e-4 * (1 + 1 / 32))
    assert points[-1]["tasks_timed"] == 3


def test_history_of_a_workload(cli: Cli, store: Storage) -> None:
    tuned(store)
    answer = cli("history", "--workload", "0001", "--limit", "1")
    header, row, _, line = answer.out.splitlines()
    assert header.split() == ["recorded", "trials", "best", "gain", "GFLOP/s", "campaign", "trial"]
    assert row.split()[2:] == ["32", "206", "µs", "0.1%", "19.4", "1", "64"]
    assert line == "conv2d_add_relu on znver4-2c@amd-epyc-9r14: 206 µs after 32 trials"


def test_slowest_shows_where_the_time_goes(cli: Cli, known: Path) -> None:
    answer = cli("slowest", str(known), "--top", "2")
    assert answer.code == 0, answer.err
    header, first, second, _, line = answer.out.splitlines()
    assert header.split() == ["task", "calls", "a", "run", "share", "sum", "GFLOP/s", "trials", "workload"]
    # 1, 2 x 2 and 3 x 3 times the same: 14 in all.
    assert first.split()[:6] == ["fused_depthwise_conv2d_add_clip2", "3", "928", "µs", "64.3%", "64.3%"]
    assert second.split()[:6] == ["fused_conv2d_add_relu1", "2", "412", "µs", "28.6%", "92.9%"]
    assert line == "squeezenet on znver4-2c@amd-epyc-9r14: 3 tasks, 1.44 ms a run; these 2 are 92.9% of it"


def test_slowest_says_which_tasks_have_no_time(cli: Cli, store: Storage, known: Path) -> None:
    on_board(store, known)
    answer = cli("slowest", str(known), "--device", "a53")
    assert "2 of 3 tasks have no time and no share; to tune them:\n  tunefleet tune" in answer.err
    assert "100.0%" in answer.out


def test_a_model_of_two_devices_wants_one_named(cli: Cli, store: Storage, known: Path) -> None:
    on_board(store, known)
    for command in ("slowest", "history"):
        answer = cli(command, str(known))
        assert answer.code == 2
        assert f"choose one with --device: a53-4c@board, {CPU.device_class}" in answer.err
        assert cli(command, str(known), "--device", BOARD.device_class).code == 0
    assert cli("history", "--workload", "0001").code == 2
    assert cli("history", "--workload", "0001", "--device", "a53").code == 0
    answer = cli("history", "--workload", "0000", "--device", "a53")
    assert answer.code == 3
    assert f"is stored on a53-4c@board; it has trials on: {CPU.device_class}" in answer.err
    assert cli("slowest", str(known), "--device", "c").code == 2
    # Failures are counted device by device.
    assert len(cli("failures", str(known), "--json").document["device_classes"]) == 2


def test_a_model_is_known_by_the_input_shapes_it_was_stored_with(
    cli: Cli, store: Storage, model: Path
) -> None:
    cli.launch(toolbox=no_toolbox)
    tuned(store)
    put_known_model(store, model, shapes_key="x:1,3,224,224")
    assert cli("slowest", str(model)).code == 0
    put_known_model(store, model, shapes_key="x:4,3,224,224;y:1")
    answer = cli("slowest", str(model))
    assert answer.code == 2
    assert "choose --input-shape x:1,3,224,224 or --input-shape x:4,3,224,224 --input-shape y:1" in answer.err
    assert cli("slowest", str(model), "--input-shape", "x:1,3,224,224").code == 0
    put_known_model(store, model)
    assert cli("slowest", str(model)).code == 0


@pytest.mark.usefixtures("toolbox")
def test_a_model_that_is_not_known_is_read_by_an_engine(cli: Cli, store: Storage, model: Path) -> None:
    for command in ("slowest", "history"):
        answer = cli(command, str(model))
        assert answer.code == 3
        assert "`tunefleet tune " in answer.err
    tuned(store)
    assert cli("slowest", str(model)).code == 0
    assert cli("slowest", str(model), "--device", "znver4").code == 0
    assert len(cli("failures", str(model), "--json").document["device_classes"]) == 1


def test_history_wants_a_model_or_a_workload(cli: Cli, model: Path, store: Storage) -> None:
    assert cli("history").code == 2
    assert cli("history", str(model), "--workload", "00").code == 2
    assert cli("history", "--workload", "00", "--input-shape", "x:1").code == 2
    assert cli("failures", str(model), "--workload", "00").code == 2
    assert cli("failures", "--input-shape", "x:1").code == 2
    assert cli("history", "--workload", "ffff").code == 3


def test_a_workload_without_a_time_is_not_found(cli: Cli, store: Storage) -> None:
    put_campaign(store)
    store.device_classes.put("metaschedule", CPU)
    store.workloads.put([workload(0)])
    assert "no trial of conv2d (0000abababab) is stored" in cli("history", "--workload", "0000").err
    store.trials.record([trial(5, 1, of=0)])
    answer = cli("history", "--workload", "0000")
    assert answer.code == 3
    assert "`tunefleet failures --workload 0000" in answer.err


def test_failures_are_told_with_what_most_of_them_said(cli: Cli, store: Storage) -> None:
    tuned(store)
    answer = cli("failures")
    header, first, second, _, line = answer.out.splitlines()
    assert header.split()[:5] == ["failure", "trials", "share", "tasks", "last"]
    assert first.split()[:4] == ["build_timeout", "6", "6.2%", "3"]
    assert first.endswith("killed after 30 s")
    assert second.split()[0] == "run_error"
    assert line == "znver4-2c@amd-epyc-9r14: 12 of 96 trials failed (12.5%)"


def test_failures_are_narrowed_to_what_is_asked(cli: Cli, store: Storage, known: Path) -> None:
    def counts(*words: str) -> tuple[int, int]:
        (found,) = cli("failures", *words, "--json").document["device_classes"]
        return found["trials_failed"], found["trials"]

    assert counts("--campaign", "campaign-1") == counts("--device", "epyc") == counts(str(known)) == (12, 96)
    assert counts("--workload", "0001") == counts("--workload", "0001", "--campaign", "1") == (4, 32)
    assert cli("failures", "--campaign", "9").code == 3


def test_no_failures_and_no_trials_are_said_to_be_none(cli: Cli, store: Storage) -> None:
    assert "no trial is stored yet; `tunefleet tune MODEL.onnx`" in cli("failures").err
    campaign = put_campaign(store)
    assert "no such trial is stored" in cli("failures", "--campaign", "1").err
    store.device_classes.put("metaschedule", CPU)
    store.workloads.put([workload(0)])
    store.trials.record([trial(1, campaign, of=0)])
    assert cli("failures").out.strip() == "znver4-2c@amd-epyc-9r14: 0 of 1 trial failed"


def test_compare_says_what_got_better(cli: Cli, store: Storage) -> None:
    tuned(store, name="nightly")
    second = tuned(store, budget=48)
    store.trials.record([dataclasses.replace(trial(10**6, 1, of=0), campaign_id=None)])
    answer = cli("compare", "nightly", "2")
    lines = answer.out.splitlines()
    assert lines[0].startswith("1  nightly  done, squeezenet, 96 trials measured, 0 saved, ")
    assert lines[1].startswith(f"{second}  campaign-2  done, squeezenet, 48 trials measured, 96 saved, ")
    assert lines[3].split()[:7] == ["task", "trials", "in", "1", "trials", "in", "2"]
    # The 32nd of the first, the 48th of the second; most is gained where most of the time is.
    assert lines[4].split()[:6] == ["fused_depthwise_conv2d_add_clip2", "32", "16", "309", "µs", "306"]
    assert lines[4].split()[-1] == "1.01x"
    assert "3 common tasks, 3 faster: 1.44 ms, then 1.43 ms a run (1.01x)" in lines
    models = [line.split() for line in lines if line.startswith("squeezenet")]
    assert models == [
        ["squeezenet", "1", "10.10", "ms", "1.35x"],
        ["squeezenet", "2", "10.10", "ms", "1.00x", "1.35x"],
    ]


def test_compare_tells_tasks_of_one_campaign_alone(cli: Cli, store: Storage) -> None:
    tuned(store)
    put_campaign(store)
    answer = cli("compare", "1", "2")
    assert "they have no task in common: nothing compares" in answer.out
    assert answer.out.count("fused_") == 3
    assert "task only in 1" in answer.out
    document = cli("compare", "2", "1", "--json").document
    assert [task["first"] for task in document["tasks"]] == [None] * 3
    assert (document["speedup"], document["expected_after_s"]) == (None, None)
    answer = cli("compare", "1", "campaign-1")
    assert answer.code == 2
    assert "both are campaign 1" in answer.err
    assert cli("compare", "1", "9").code == 3


def test_show_says_how_many_trials_were_saved(cli: Cli, store: Storage) -> None:
    tuned(store)
    tuned(store, budget=48)
    assert "144/144, 48 measured, 6 failed, 96 saved (stored before)" in cli("show", "2").out
    assert cli("show", "2", "--json").document["progress"]["trials_saved"] == 96
