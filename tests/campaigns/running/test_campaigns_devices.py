"""The benchmark with simulated devices, in short: the loop and the store are real."""

from __future__ import annotations

from pathlib import Path

from benchmarks.devices import Run, table
from benchmarks.fleets import simulated
from benchmarks.waiting import TASKS, Times
from orchestrator.storage import Storage, TaskState

QUICK = Times(measure=20, build=5, propose=10, learn=5, open=5, train=10)


def test_eight_simulated_devices_measure_all_trials_once_and_each_has_its_part(tmp_path: Path) -> None:
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}") as store:
        run = Run(store, simulated(8, QUICK), devices=8, trials=400)
        figures = run.run()
        rows = store.tasks.of_campaign(run.campaign)
    assert len(rows) == TASKS
    assert {row.state for row in rows} == {TaskState.SATISFIED}
    assert sum(row.stored for row in rows) == figures.trials == 400
    # All of them once, and the best of some again.
    assert 400 <= sum(figures.measured.values()) <= 440
    assert len(figures.measured) == 8
    assert 0 < figures.device_use <= 1
    # More than one result came within the time that results wait for each other.
    assert figures.trials_per_commit > 1
    assert table([figures], QUICK).splitlines()[2].startswith("| 8 | ")
