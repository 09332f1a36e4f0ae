"""What the benchmarks work out from what they measured; they themselves are run by hand."""

from __future__ import annotations

import json
import math
import pathlib
import sqlite3
from dataclasses import asdict, replace

import pytest

from benchmarks import budget
from benchmarks.budget import Run, Setting, came_when
from benchmarks.curve import Curve, Point, curve, points_of_time, reached, repeats_for, store_until, summary
from benchmarks.scaling import Figures, replayed
from benchmarks.stock import good
from benchmarks.trials_per_hour import row
from benchmarks.waiting import Times


def run(side: str, trials: list[tuple[float, bool]], turn: int = 1) -> Run:
    return Run(side, turn, pathlib.Path(), 3600.0, 0.0, trials, trials)


def test_a_record_counts_from_when_its_whole_line_was_seen() -> None:
    lines = [(True, 100), (False, 50), (True, 50), (True, 10)]
    sizes = [(1.0, 99), (2.0, 100), (3.0, 200)]

    assert came_when(lines, sizes) == [(2.0, True), (3.0, False), (3.0, True)]


def test_a_run_that_was_kept_is_taken_and_one_with_other_settings_refused(tmp_path: pathlib.Path) -> None:
    setting = Setting("ppocr_cls", 60.0, 1, {"plateau": 32})
    kept = {"setting": asdict(setting), "started_at": 5.0, "trials": [[1.5, True], [30.0, False]]}
    folder = tmp_path / "ppocr_cls" / "turn1" / "stock"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(kept))
    # Two more were measured and never recorded, one failed, one came too late, one was being written.
    (folder / "measured.jsonl").write_text(
        "[6.5, true]\n[35.0, false]\n[40.0, true]\n[41.0, true]\n[42.0, false]\n[65.5, true]\n[66"
    )

    found = budget.run(setting, "stock", 1, tmp_path)

    assert (found.until(1.0), found.until(30.0)) == (0, 2)
    assert (found.good, len(found.measured), found.per_hour) == (3, 5, 180.0)
    # What the other side alone is told makes no difference to this one.
    assert budget.run(replace(setting, campaign={}), "stock", 1, tmp_path) == found
    for other in (replace(setting, seconds=61.0), replace(setting, per_iteration=16)):
        with pytest.raises(RuntimeError, match="other settings: name another --work"):
            budget.run(other, "stock", 1, tmp_path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('[0, [[[], []], [0.001], {"kind": "llvm"}, []]]', True),
        ('[0, [[[], []], [10000000000.0], {"kind": "llvm"}, []]]', False),
        ("[0, [[[], []], null, {}, []]]", False),
        ("[0, [[[], []], [0.0", False),
    ],
)
def test_what_stock_records_of_a_failure_or_was_writing_when_killed_does_not_count(
    line: str, expected: bool
) -> None:
    assert good(line) is expected


def test_the_rate_is_the_median_of_the_turns_and_counts_what_succeeded() -> None:
    runs = [
        run("ours", [(1.0, True)] * count + [(2.0, False)], turn) for turn, count in enumerate((90, 100, 200))
    ]
    runs += [run("stock", [(1.0, True)] * count, turn) for turn, count in enumerate((20, 25, 30))]

    assert row("m", 30, runs).endswith("| 100 | 25 | 4.0 |")
    assert row("m", 30, [run("ours", [(1.0, True)]), run("stock", [])]).endswith("| 1 | 0 | stock had none |")


def test_points_of_time_begin_at_nothing_and_end_with_the_campaign() -> None:
    assert points_of_time(300, 120) == [0, 30, 60, 120, 240, 300]
    assert points_of_time(20, 120) == [0, 20]


@pytest.mark.parametrize("seconds", [0.0001, 0.003, 0.05, 0.9, 6.0])
def test_a_slow_library_runs_a_few_times_and_a_quick_one_for_about_a_second(seconds: float) -> None:
    repeats, number = repeats_for(seconds)

    assert repeats * number * seconds <= max(1.5, seconds)
    assert number * seconds >= min(0.02, seconds)
    assert repeats >= (3 if seconds < 0.3 else 1)


def test_a_copy_of_a_store_until_a_moment_lacks_what_came_later(tmp_path: pathlib.Path) -> None:
    from benchmarks.devices import planned_campaign
    from benchmarks.waiting import DEVICE
    from orchestrator import CampaignSpec, Storage
    from orchestrator.storage import MeasurementKind, NewMeasurement, NewTrial
    from workers.messages import Candidate, Measurement, TrialState

    spec = CampaignSpec.of({"models": [{"path": "/models/model.onnx"}], "trials": 80})
    with Storage.open(f"{tmp_path}/whole.db") as store:
        campaign, plan = planned_campaign(store, spec, "until a moment")
        key = plan.tasks[0].task.workload_hash
        for seconds in (0.5, 0.25):
            measured = Measurement(TrialState.OK, (seconds,))
            trial = NewTrial(
                key,
                DEVICE.device_class,
                Candidate(f"{seconds}", "trace"),
                measured,
                campaign,
                0.1,
                f"{seconds}",
            )
            store.trials.record([trial])
        first, _ = store.trials.of_campaign(campaign)
    with sqlite3.connect(tmp_path / "whole.db") as connection:
        connection.execute(
            "UPDATE trials SET created_at = datetime(created_at, '+60 seconds') WHERE id > ?", (first.id,)
        )

    with Storage.open(f"{tmp_path}/whole.db") as store:
        again = Measurement(TrialState.OK, (0.6, 0.7, 0.8))
        kind = MeasurementKind.AGAIN
        store.measurements.add([NewMeasurement(key, DEVICE.device_class, "0.5", again, kind, "again")])
    moment = first.created_at.timestamp() + 1.0

    store_until(tmp_path / "whole.db", tmp_path / "before.db", moment, again=False)
    store_until(tmp_path / "whole.db", tmp_path / "after.db", moment, again=True)

    for name, cost in (("before", 0.5), ("after", 0.7)):
        with Storage.open(f"{tmp_path}/{name}.db") as store:
            assert [trial.cost_s for trial in store.trials.best(key, DEVICE.device_class)] == [cost]
    with Storage.open(f"{tmp_path}/whole.db") as store:
        assert [trial.cost_s for trial in store.trials.best(key, DEVICE.device_class)] == [0.25]


def test_ours_passes_stock_at_the_first_point_that_is_as_fast_as_its_end() -> None:
    found = Curve("m", {0: 1.0, 30: 0.5, 60: 0.2, 120: 0.1}, {0: 1.0, 30: 1.0, 60: 0.4, 120: 0.395}, 0.05)

    assert found.passed_at_s == 60
    assert found.stock_there_at_s == 60, "it gained less than two percent afterwards"
    assert "| by 60 s | by 60 s | 1.0 | 2.00 | 7.90 |" in summary([found])
    assert reached(found.stock, 0.3) is None


def test_stock_without_a_record_has_no_time_to_be_sooner_than() -> None:
    found = Curve("m", {0: 2.0, 30: 0.9, 60: 0.1}, {0: 1.0, 30: 1.0, 60: 1.0}, 0.1)

    assert "| by 30 s | by 0 s | stock gained nothing |" in summary([found])


def test_a_library_with_wrong_outputs_has_no_latency_and_makes_its_point_wrong() -> None:
    def point(turn: int, wrong: str) -> Point:
        return Point("ours", turn, 60.0, 5, pathlib.Path("x.so"), [[0.1, 0.2, 0.9], [0.3]], wrong)

    right, wrong = point(1, ""), point(2, "output y differs")

    assert right.latency_s == 0.2
    assert math.isnan(wrong.latency_s)
    found = curve("m", [right, wrong], [[0.05]])
    assert math.isnan(found.ours[60.0])
    assert found.wrong == ("ours-turn2-00060: output y differs",)
    assert reached(found.ours, 1.0) is None


def test_a_replay_draws_from_what_each_kind_of_work_took_and_refuses_to_guess() -> None:
    took = {"open": [1.0], "propose": [20.0, 30.0], "learn": [2.0], "build": [4.0]}
    alone = Figures("real", 1, 8, 1.0, 0.1, took)

    assert replayed(Times(measure=300.0), alone) == Times(300.0, [4.0], [20.0, 30.0], [2.0], [1.0], 3000.0)
    with pytest.raises(ValueError, match="no work of this kind: build"):
        replayed(Times(), replace(alone, took_ms={k: v for k, v in took.items() if k != "build"}))
