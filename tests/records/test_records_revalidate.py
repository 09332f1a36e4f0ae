"""Records of another toolchain, measured with the one that is here, by real engine processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.cli.kit.stale import outcome_lines
from orchestrator.records import revalidate as revalidate_module
from orchestrator.records.revalidate import Revalidated, revalidate
from orchestrator.storage import PACK, CheckState, MeasurementKind, NewTrial, Storage, toolchain_key
from orchestrator.toolbox import Toolbox
from workers.actors import measure
from workers.messages import Candidate, DeviceInfo, EvaluatorConfig, Measurement, TrialState, Workload

ENGINE = "stand_in_engines.quick"
CPU = DeviceInfo("llvm", "cpu-a-2", "Some CPU", 2, "cpu")
FIRST, SECOND = (Workload(f"{n:064x}", ENGINE, f"conv{n}", 1e6, b"module") for n in (1, 2))
#: As the engine's first version times them: the shortest name is the fastest.
NAMES = ("a", "bb", "ccc", "dddd", "eeeee")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    """What was measured with the first version of the engine's compiler."""
    with Storage.open(str(tmp_path / "records.db")) as opened:
        opened.device_classes.put(ENGINE, CPU)
        opened.workloads.put([FIRST, SECOND])
        opened.trials.record([trial(FIRST, name) for name in NAMES])
        opened.trials.record([trial(SECOND, "only version 1"), trial(SECOND, "x" * 20)])
        yield opened


def trial(workload: Workload, name: str) -> NewTrial:
    return NewTrial(
        workload.hash,
        CPU.device_class,
        Candidate(name, f"trace {name}"),
        Measurement(TrialState.OK, (1.0 + len(name),)),
        versions={"quick": "1"},
        token=name,
    )


def revalidated(store: Storage, *hashes: str, most: int = 3) -> Revalidated:
    with Toolbox(ENGINE) as tools:
        return revalidate(store, tools, hashes or None, most=most, target=CPU.target)


def best(store: Storage, workload: Workload) -> list[tuple[str, bool]]:
    return [(row.candidate, row.stale) for row in store.trials.best(workload.hash, CPU.device_class, 5)]


def test_nothing_is_measured_while_the_toolchain_is_the_same(store: Storage) -> None:
    outcome = revalidated(store)
    assert (outcome.workloads, outcome.measured, outcome.left) == (0, 0, 0)
    assert best(store, FIRST) == [(name, False) for name in NAMES]


def test_three_of_each_workload_are_measured_with_a_new_one_and_another_wins(
    store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUICK_VERSION", "2")
    outcome = revalidated(store)
    assert outcome.versions == {"quick": "2"}
    assert store.toolchains.current_key(CPU.device_class) == toolchain_key(outcome.versions)
    # Three of the five, and both of the two, one of which can't be built any more.
    assert (outcome.workloads, outcome.measured, outcome.failed) == (2, 5, 1)
    assert (outcome.changed, outcome.left) == (2, 0)
    assert best(store, FIRST) == [
        ("ccc", False),
        ("bb", False),
        ("a", False),
        ("dddd", True),
        ("eeeee", True),
    ]
    assert best(store, SECOND) == [("x" * 20, False)]
    (broken,) = (r for r in store.trials.of_workload(SECOND.hash, CPU.device_class) if r.cost_s is None)
    assert "knows no such instruction" in broken.message
    assert [one.kind for one in store.measurements.of_trial(broken.id)] == [
        MeasurementKind.FULL,
        MeasurementKind.REVALIDATED,
    ]
    # Once more there is nothing to do; back with the first version, all is as it was.
    assert revalidated(store).measured == 0
    monkeypatch.setenv("QUICK_VERSION", "1")
    assert revalidated(store).measured == 0
    assert best(store, FIRST) == [(name, False) for name in NAMES]
    assert best(store, SECOND)[0] == ("only version 1", False)


def test_what_was_measured_on_a_device_that_drifted_is_measured_again(store: Storage) -> None:
    """Where it may be the best, and not where it is slower all the same."""
    slow = trial(FIRST, "now")
    slow = replace(slow, measurement=Measurement(TrialState.OK, (6.0,)), drift=1.0)
    store.trials.record([slow])
    outcome = revalidated(store)
    assert (outcome.workloads, outcome.measured, outcome.rechecked) == (0, 0, 0)
    better = replace(trial(FIRST, "0"), measurement=Measurement(TrialState.OK, (3.0,)), drift=1.0)
    store.trials.record([better])
    outcome = revalidated(store)
    assert (outcome.workloads, outcome.measured, outcome.rechecked) == (1, 1, 1)
    (row,) = (r for r in store.trials.of_workload(FIRST.hash, CPU.device_class) if r.candidate == "0")
    assert (row.kind, row.cost_s, row.drift) == (MeasurementKind.RECHECKED, 2.0, None)
    assert revalidated(store).measured == 0


def test_what_a_pack_claims_to_be_faster_is_measured_before_it_is_the_best(store: Storage) -> None:
    (row, *_) = next(iter(store.trials.pages()))
    claimed = replace(row.measurements[0], times=(0.1,), versions={"quick": "1", PACK: "SHA256:lab"})
    for name in ("z" * 9, ""):
        lines = replace(row, candidate=f"_{name}", trace="trace", measurements=(claimed,))
        store.trials.record_copies([lines])
    assert best(store, FIRST)[0] == ("a", False)
    outcome = revalidated(store)
    assert (outcome.workloads, outcome.measured, outcome.changed, outcome.left) == (1, 2, 0, 0)
    assert [row.cost_s for row in store.trials.best(FIRST.hash, CPU.device_class, 2)] == [2.0, 2.0]
    assert revalidated(store).measured == 0


def test_a_device_that_is_slow_takes_no_mark_away_and_marks_what_is_measured(
    store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUICK_VERSION", "2")
    assert revalidated(store, most=1).drift is None
    slow = Measurement(TrialState.OK, (0.6,))
    store.trials.record([replace(trial(FIRST, "0"), measurement=slow, versions={"quick": "2"}, drift=0.5)])
    monkeypatch.setenv("QUICK_SLOW", "1.3")
    outcome = revalidated(store)
    assert outcome.drift == pytest.approx(0.3)
    # One more of each workload, and not the one that was marked before.
    assert (outcome.measured, outcome.rechecked, outcome.waiting) == (2, 0, 1)
    found = {row.candidate: row.drift for row in store.trials.of_workload(FIRST.hash, CPU.device_class)}
    assert (found["a"], found["0"]) == (None, 0.5)
    assert found["bb"] == pytest.approx(0.3)
    checks = store.device_checks.latest()
    assert [(one.state, one.marked) for one in checks] == [(CheckState.DRIFTED, 2)]
    assert any("the device is 30% slower than it was" in line for line in outcome_lines(outcome))
    # When it is back, all that is marked is measured.
    monkeypatch.delenv("QUICK_SLOW")
    back = revalidated(store)
    assert (back.drift, back.waiting) == (None, 0)
    assert (back.measured, back.rechecked) == (3, 3)
    assert {row.drift for row in store.trials.best(FIRST.hash, CPU.device_class, 2)} == {None}


def test_a_known_kernel_that_can_not_be_built_is_said_and_stops_nothing(
    store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUICK_VERSION", "2")
    known = Workload("known", "quick", "known", 1.0, b""), Candidate("only version 1", "trace")
    monkeypatch.setattr(Toolbox, "known_kernel", lambda *_: known)
    outcome = revalidated(store, FIRST.hash)
    assert (outcome.measured, outcome.drift) == (3, None)
    assert "knows no such instruction" in outcome.unchecked
    assert any("not checked for drift" in line for line in outcome_lines(outcome))
    assert store.device_checks.latest() == []


def test_what_takes_too_long_is_tried_once_more_and_stays_as_it_was(
    store: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = Workload(f"{3:064x}", ENGINE, "conv3", 1e6, b"module")
    store.workloads.put([third])
    names = ("slow to build", "slow to run", "always slow")
    store.trials.record([trial(third, name) for name in names])
    monkeypatch.setenv("QUICK_VERSION", "2")
    monkeypatch.setenv("QUICK_SLOW_ONCE", str(tmp_path))
    monkeypatch.setattr(revalidate_module, "_BUILD_SECONDS", 0.5)
    monkeypatch.setattr(revalidate_module, "_EVALUATOR", EvaluatorConfig(timeout_s=0.5))
    monkeypatch.setattr(measure, "DEVICE_WAIT_SECONDS", 0.0)
    outcome = revalidated(store, third.hash)
    assert (outcome.measured, outcome.failed, outcome.timed_out) == (2, 0, 1)
    found = {row.candidate: row for row in store.trials.of_workload(third.hash, CPU.device_class)}
    assert [found[name].stale for name in names] == [False, False, True]
    assert found["always slow"].cost_s is not None
    assert any("1 record took too long" in line for line in outcome_lines(outcome))


def test_only_what_is_asked_for_is_measured_and_the_rest_another_time(
    store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUICK_VERSION", "2")
    assert revalidated(store, FIRST.hash, most=1).measured == 1
    assert best(store, FIRST)[:2] == [("a", False), ("bb", True)]
    assert best(store, SECOND)[0] == ("only version 1", True)
    again = revalidated(store, FIRST.hash, most=3)
    assert (again.measured, again.changed) == (2, 1)
