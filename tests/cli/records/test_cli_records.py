"""Logs in and out, on an engine from a can: what is said, and what a bad line does."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.storage import Storage
from tests.kit.cli_builders import CPU, Cli, put_model, tuned, workload
from workers.messages import TrialState

pytestmark = pytest.mark.usefixtures("toolbox")

ENGINE = ("--engine", "metaschedule")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "tuning.log"
    path.write_text("0 first 0.002 cpu\n0 second 0.001 cpu\n1 third - cpu\n0 first 0.003 cpu\n")
    return path


def stored(store: Storage) -> int:
    return sum(len(store.trials.of_workload(row.hash, CPU.device_class)) for row in store.workloads.search())


def test_an_import_says_what_it_stored_and_where(cli: Cli, store: Storage, log: Path) -> None:
    answer = cli("records", "import", str(log), *ENGINE)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines() == [
        f"imported 3 trials of 2 workloads under {CPU.device_class}, 1 of them failed",
        "1 line repeated a candidate of another line",
        "the log says it was measured for cpu -old",
    ]
    (best,) = store.trials.best(workload(0).hash, CPU.device_class)
    assert (best.candidate, best.times, best.campaign_id) == ("second", (0.001,), None)
    assert best.versions == {"imported": "tuning.log", "tvm": "0.18.0"}
    (failed,) = store.trials.of_workload(workload(1).hash, CPU.device_class)
    assert (failed.state, failed.message) == (TrialState.RUN_ERROR, "it crashed")


def test_a_second_import_says_that_nothing_is_new(cli: Cli, store: Storage, log: Path) -> None:
    assert cli("records", "import", str(log), *ENGINE).code == 0
    answer = cli("records", "import", str(log), *ENGINE)
    assert answer.code == 0
    said = f"nothing of tuning.log is new under {CPU.device_class}: 3 trials of it were stored before"
    assert said in answer.out
    assert stored(store) == 3


def test_bad_lines_are_listed_and_nothing_is_stored(cli: Cli, store: Storage, log: Path) -> None:
    log.write_text(f"broken\n{log.read_text()}0 fourth 0.004 cuda\n")
    for words in ([], ["--dry-run"]):
        answer = cli("records", "import", str(log), *ENGINE, *words)
        assert answer.code == 2
        assert "2 of 6 lines of tuning.log can't be imported, so nothing was" in answer.err
        assert "  line 1: it is broken" in answer.err
        assert "  line 6: it was measured for cuda (cuda -old), and" in answer.err
    assert stored(store) == 0


def test_bad_lines_can_be_left_out(cli: Cli, store: Storage, log: Path) -> None:
    log.write_text(f"broken\n{log.read_text()}")
    answer = cli("records", "import", str(log), *ENGINE, "--skip-bad")
    assert answer.code == 0
    assert "left out line 1: it is broken" in answer.err
    assert stored(store) == 3


def test_a_dry_run_stores_nothing(cli: Cli, store: Storage, log: Path) -> None:
    answer = cli("records", "import", str(log), *ENGINE, "--dry-run")
    assert answer.code == 0
    assert answer.out.startswith("would import 3 trials of 2 workloads")
    assert stored(store) == 0


def test_an_export_of_a_model_has_the_trials_of_its_tasks(
    cli: Cli, store: Storage, model: Path, tmp_path: Path
) -> None:
    tuned(store)
    path = tmp_path / "out.log"
    answer = cli("records", "export", str(model), "-o", str(path), *ENGINE)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines() == [
        f"wrote 96 trials of 3 workloads on {CPU.device_class}, 12 of them failed",
        "wrote out.log",
    ]
    assert len(path.read_text().splitlines()) == 96
    assert cli("records", "export", str(model), "-o", str(path), *ENGINE, "--best").code == 0
    assert [line.split()[:2] for line in path.read_text().splitlines()] == [
        [str(n), f"candidate-{n}-031"] for n in range(3)
    ]


def test_an_export_of_a_workload_takes_the_first_digits_of_its_hash(
    cli: Cli, store: Storage, log: Path, tmp_path: Path
) -> None:
    assert cli("records", "import", str(log), *ENGINE).code == 0
    path = tmp_path / "out.log"
    answer = cli("records", "export", "--workload", "0000", "-o", str(path), *ENGINE)
    assert answer.code == 0, answer.err
    assert path.read_text() == "0 first 0.002 cpu\n0 second 0.001 cpu\n"


def test_an_export_names_the_tasks_without_a_trial(cli: Cli, log: Path, model: Path, tmp_path: Path) -> None:
    assert cli("records", "import", str(log), *ENGINE).code == 0
    answer = cli("records", "export", str(model), "-o", "out.log", *ENGINE)
    assert answer.code == 0
    assert "nothing is stored of fused_depthwise_conv2d_add_clip2" in answer.err


def test_an_export_of_nothing_is_not_found(cli: Cli, store: Storage, model: Path, tmp_path: Path) -> None:
    put_model(store)
    for what in ([str(model)], ["--workload", "0001"], ["--workload", "beef"]):
        answer = cli("records", "export", *what, "-o", "out.log", *ENGINE)
        assert answer.code == 3
    assert not (tmp_path / "out.log").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["import", "missing.log", *ENGINE], "there is no file"),
        (["import", "tuning.log"], "--engine"),
        (["import", "tuning.log", "--engine", "tuna"], "there is no engine 'tuna'"),
        (["import", "tuning.log", *ENGINE, "--input-shape", "x:1"], "is for a --model"),
        (["import", "tuning.log", *ENGINE, "--model", "missing.onnx"], "there is no file missing.onnx"),
        (["export", "-o", "out.log", *ENGINE], "name a MODEL.onnx or a --workload"),
        (["export", "squeezenet.onnx", "--workload", "00", "-o", "out.log", *ENGINE], "one of them"),
        (["export", "squeezenet.onnx", "-o", "nowhere/out.log", *ENGINE], "there is no folder"),
        (["export", "--workload", "00", "--input-shape", "x:1", "-o", "a", *ENGINE], "is for a model"),
    ],
)
@pytest.mark.usefixtures("log", "model", "store")
def test_what_can_not_be_is_wrong_usage(cli: Cli, words: list[str], said: str) -> None:
    answer = cli("records", *words)
    assert answer.code == 2
    assert said in answer.err
