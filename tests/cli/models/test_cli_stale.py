"""Records of another toolchain: commands say how many they are, and ``--stale`` decides about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.storage import MeasurementKind, NewMeasurement, Storage
from tests.kit.cli_builders import CPU, TOOLCHAIN, Cli, put_known_model, tuned, workload
from workers.messages import Measurement, TrialState

NEWER = {"tvm": "0.28.0", "llvm": "23"}


@pytest.fixture
def stale(store: Storage, model: Path) -> Storage:
    """A tuned model whose device is measured with another toolchain since."""
    tuned(store)
    put_known_model(store, model)
    store.toolchains.adopt(CPU.device_class, NEWER)
    return store


@pytest.mark.usefixtures("stale")
def test_what_is_stored_says_what_of_it_is_stale(cli: Cli, model: Path) -> None:
    answer = cli("best")
    assert "3 of 3 records are stale: measured with another toolchain" in answer.err
    assert "records revalidate" in answer.err
    assert ", stale" in answer.out
    assert all(one["stale"] for one in cli("best", "--json").document["best"])
    assert cli("best", "--stale", "ignore", "--json").document["best"] == []
    shares = cli("slowest", str(model), "--json").document
    assert (shares["tasks_stale"], shares["tasks_timed"]) == (3, 3)
    assert "records revalidate" in cli("slowest", str(model)).err
    progress = cli("show", "1", "--json").document
    assert (progress["progress"]["tasks_stale"], progress["progress"]["trials_stored"]) == (3, 0)
    assert {task["best_stale"] for task in progress["tasks"]} == {True}
    shown = cli("show", "1").out
    assert "of another toolchain than the device is measured with now" in shown
    without = cli("show", "1", "--stale", "ignore", "--json").document
    assert {task["best_s"] for task in without["tasks"]} == {None}
    assert (without["progress"]["tasks_stale"], without["progress"]["expected_s"]) == (0, None)
    assert cli("show", "1", "--stale", "perhaps").code == 2
    (row,) = cli("records", "stats", "--json").document["device_classes"]
    assert (row["trials_stale"], row["toolchain"]["tvm"]) == (row["trials"], "0.28.0")


def test_a_comparison_of_campaigns_says_which_times_are_stale(cli: Cli, stale: Storage) -> None:
    tuned(stale, budget=48)
    assert cli("compare", "1", "2").out.count(" stale") == 6
    sides = cli("compare", "1", "2", "--json").document["tasks"]
    assert {task[side]["best_stale"] for task in sides for side in ("first", "second")} == {True}
    stale.toolchains.adopt(CPU.device_class, TOOLCHAIN)
    assert "stale" not in cli("compare", "1", "2").out


@pytest.mark.usefixtures("toolbox")
def test_a_build_says_which_of_its_records_are_stale_or_takes_none(
    cli: Cli, store: Storage, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned(store)
    fresh = cli("build", str(model), "-o", "m.so", "--json")
    assert (fresh.document["tasks_tuned"], fresh.document["tasks_stale"]) == (3, 0)
    # Not the store's toolchain is another, but the builder's: nobody has measured with that yet.
    monkeypatch.setattr("tests.kit.cli_builders.TOOLCHAIN", NEWER)
    built = cli("build", str(model), "-o", "m.so")
    assert "3 of 3 records are stale" in built.err
    assert f"records revalidate {model}" in built.err
    assert cli("best", str(model), "--no-trace").err.count("are stale") == 1
    document = cli("build", str(model), "-o", "m.so", "--stale", "ignore", "--json").document
    assert (document["tasks_tuned"], document["tasks_stale"]) == (0, 0)
    assert "measured with another toolchain" in cli("bench", str(model), "--json").document["report"]["why"]
    assert store.toolchains.find(store.toolchains.current_key(CPU.device_class)).versions["tvm"] == "0.27.0"  # type: ignore[union-attr]


@pytest.mark.usefixtures("toolbox", "stale")
def test_a_log_for_other_tools_has_no_stale_trial_beside_one_that_is_not(
    cli: Cli, store: Storage, tmp_path: Path
) -> None:
    words = ["records", "export", "--workload", "0001", "-o", "a.log", "--engine", "metaschedule"]
    assert cli(*words).code == 0
    # All of it is stale, and better than nothing.
    assert len((tmp_path / "a.log").read_text().splitlines()) == 32
    measured = Measurement(TrialState.OK, (0.5,))
    pair = workload(1).hash, CPU.device_class
    revalidated = MeasurementKind.REVALIDATED
    again = NewMeasurement(*pair, "candidate-1-003", measured, revalidated, "again", NEWER)
    assert store.measurements.add([again]) == 1
    assert cli(*words).code == 0
    assert (tmp_path / "a.log").read_text() == "1 candidate-1-003 0.5 cpu\n"


def test_a_choice_there_is_not_is_refused(cli: Cli, model: Path) -> None:
    for words in (["best", str(model)], ["build", str(model), "-o", "m.so"], ["bench", str(model)]):
        answer = cli(*words, "--stale", "maybe")
        assert answer.code == 2
        assert "--stale 'maybe' is none of use, revalidate, ignore" in answer.err
    answer = cli("best", "--stale", "revalidate")
    assert (answer.code, "`tunefleet records revalidate" in answer.err) == (2, True)
