"""Records of a whole store on the command line: JSON Lines, merge, prune, stats."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.storage import MeasurementKind, NewMeasurement, Storage
from tests.kit.cli_builders import CPU, Cli, tuned, workload
from workers.messages import Measurement, TrialState


@pytest.fixture
def filled(store: Storage) -> Storage:
    tuned(store)
    return store


@pytest.fixture
def other(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "other.db")


def count(db: Path) -> int:
    with Storage.open(str(db)) as store:
        return sum(len(page) for page in store.trials.pages())


@pytest.mark.usefixtures("filled")
def test_records_go_from_one_store_to_another_and_back_without_a_trace_of_it(
    cli: Cli, other: Cli, tmp_path: Path
) -> None:
    out = cli("records", "export", "-o", "all.jsonl.gz")
    assert out.code == 0, out.err
    assert "wrote 96 trials of 3 workloads on 1 device class" in out.out
    into = other("records", "import", "all.jsonl.gz")
    assert into.code == 0, into.err
    assert f"imported 96 new trials of 96 in all.jsonl.gz on {CPU.device_class}" in into.out
    again = other("records", "import", "all.jsonl.gz")
    assert "imported 0 new trials" in again.out
    assert "96 of them stored before: nothing changed" in again.out
    with Storage.open(str(tmp_path / "other.db")) as there:
        trial = there.trials.best(workload(0).hash, CPU.device_class)[0]
        measured = Measurement(TrialState.OK, (0.5,))
        pair = workload(0).hash, CPU.device_class
        there.measurements.add(
            [NewMeasurement(*pair, trial.candidate, measured, MeasurementKind.AGAIN, "again", trial.versions)]
        )
    told = cli("records", "merge", "other.db", "--dry-run")
    assert "96 of them stored before: they would get 1 new measurement" in told.out
    merged = cli("records", "merge", "other.db")
    assert "imported 0 new trials of 96" in merged.out
    assert "96 of them stored before: they got 1 new measurement" in merged.out


@pytest.mark.usefixtures("filled")
def test_merge_takes_another_store_and_a_dry_run_only_counts(cli: Cli, other: Cli, tmp_path: Path) -> None:
    assert other("records", "stats").code == 1
    with Storage.open(str(tmp_path / "other.db")):
        pass
    told = other("records", "merge", "records.db", "--dry-run")
    assert "would import 96 new trials" in told.out
    assert count(tmp_path / "other.db") == 0
    assert other("records", "merge", "records.db").code == 0
    assert count(tmp_path / "other.db") == 96


@pytest.mark.usefixtures("filled")
def test_prune_says_what_went_and_stats_what_is_left(cli: Cli) -> None:
    told = cli("records", "prune", "--keep", "8", "--dry-run")
    assert told.code == 0, told.err
    done = cli("records", "prune", "--keep", "8", "--failed")
    assert "deleted 72 of 96 trials, 12 of them failures" in done.out
    stats = cli("records", "stats")
    assert "24" in stats.out
    assert "0.0%" in stats.out
    assert CPU.device_class in stats.out


@pytest.mark.usefixtures("filled", "toolbox")
def test_an_export_as_json_lines_can_be_of_a_model_or_a_workload(cli: Cli, model: Path) -> None:
    one = cli("records", "export", "--workload", workload(1).hash[:8], "-o", "one.jsonl")
    assert "wrote 32 trials of 1 workload" in one.out
    all_ = cli("records", "export", str(model), "-o", "model.data", "--format", "jsonl")
    assert "wrote 96 trials of 3 workloads" in all_.out


@pytest.mark.usefixtures("filled", "toolbox")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["merge", "records.db"], 2, "both are the same database"),
        (["merge", "nowhere.db"], 1, "there is no database"),
        (["merge", "postgresql://me:hunter2@127.0.0.1:1/x"], 1, "refused"),
        (["prune"], 2, "say what may go"),
        (["prune", "--failed", "--older-than", "yesterday"], 2, "write days or weeks"),
        (["prune", "--failed", "--device", "tpu"], 3, "no device class tpu"),
        (["export", "-o", "all.log"], 2, "name the --engine"),
        (["export", "-o", "all.jsonl", "--best"], 2, "--best is for an engine's own format"),
        (["export", "-o", "all.jsonl", "--format", "xml"], 2, "auto, jsonl or engine"),
        (["export", "-o", "all.jsonl", "--device", "tpu"], 3, "no device class tpu"),
        (["import", "squeezenet.onnx"], 2, "name --engine"),
    ],
)
def test_what_can_not_be_is_refused(cli: Cli, model: Path, words: list[str], code: int, said: str) -> None:
    answer = cli("records", *words)
    assert (answer.code, said in answer.err) == (code, True), answer.err
    assert "hunter2" not in answer.err
    assert count(cli.db) == 96
