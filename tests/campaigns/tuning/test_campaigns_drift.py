"""Devices that get slower or faster while a campaign measures on them: told by a known kernel, and mended."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from orchestrator.campaigns.scheduling.alone import tune_alone
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning import checks
from orchestrator.campaigns.tuning.causes import causes
from orchestrator.campaigns.tuning.tuner import Tuning
from orchestrator.devices.drift import DRIFT, EVERY_SECONDS, PATIENCE, SOON_SECONDS, Level
from orchestrator.documents.drift import drift_text, read_drift
from orchestrator.errors import EngineError, EngineLostError
from orchestrator.fleet.port import DevicesWanted, Work
from orchestrator.fleet.simulated import Happening, SimulatedFleet
from orchestrator.fleet.work import BuildWork, CheckWork, MeasureWork
from orchestrator.storage import (
    CheckState,
    DeviceCheckRow,
    MeasurementKey,
    MeasurementKind,
    NewTrial,
    Storage,
    TaskState,
    TrialRow,
)
from tests.kit.planned_campaigns import CPU, OWNER, plan, workload
from tests.kit.stand_in_fleet import Simulated
from workers.messages import BuildResult, Candidate, Condition, Measurement, TrialState

KNOWN = workload(99), Candidate("known", "trace known")
#: What the known kernel takes, and by how much more everything takes in a slow minute.
USUAL_S, SLOWER = 1e-3, 1.5


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(str(tmp_path / "records.db")) as opened:
        yield opened


def usual(seconds: float) -> float:
    """Be as fast as ever."""
    return 1.0


def slow(begins: float, ends: float = float("inf")) -> Callable[[float], float]:
    """Be slower from one second of a campaign to another."""
    return lambda seconds: SLOWER if begins <= seconds < ends else 1.0


class Machine(Simulated):
    """A fleet whose devices are slower at times: what is measured takes seconds on its clock.

    A candidate's own time falls with its number, 1 s divided by it.
    """

    def __init__(self, factor: Callable[[float], float] = usual, *, shares_cores: bool = False) -> None:
        super().__init__(shares_cores=shares_cores)
        self.factor = factor
        self.known_kernel_s = lambda number, device: USUAL_S * self.factor(self.clock.now())

    def takes(self, work: Work) -> float:
        return {MeasureWork: 10.0, CheckWork: 0.25}.get(type(work), 0.0)

    def measure(self, work: MeasureWork, took_s: float) -> Measurement:
        number = int(work.artifact.candidate.rsplit("-", 1)[1]) + 1  # type: ignore[union-attr]
        seconds = self.factor(self.clock.now()) / number
        return Measurement(TrialState.OK, (seconds,), device=work.device.station.key, host="here")


class Campaign:
    """A campaign of tasks with so many trials each, on a machine."""

    def __init__(self, store: Storage, machine: Machine, *numbers: int, trials: int = 40) -> None:
        self.store, self.machine = store, machine
        settings: dict[str, Any] = {"models": [{"path": "/model.onnx"}], "trials_per_task": trials}
        spec = CampaignSpec.of(settings)
        self.id, planned = plan(store, spec, numbers)
        self.said: list[str] = []
        self.tuning = Tuning(
            store,
            self.id,
            OWNER,
            spec,
            planned,
            self.said.append,
            lambda: None,
            known={CPU.device_class: KNOWN},
            clock=machine.clock.now,
        )

    def run(self) -> Campaign:
        tune_alone(self.store, self.machine.fleet, self.tuning)
        return self

    @property
    def checks(self) -> list[DeviceCheckRow]:
        return self.store.device_checks.of_campaign(self.id)

    @property
    def states(self) -> list[str]:
        return [row.state.value for row in self.checks]

    @property
    def trials(self) -> list[TrialRow]:
        return list(self.store.trials.of_campaign(self.id))

    def marked(self) -> set[str]:
        """Return the candidates of which a measurement is marked, as they were first measured."""
        return {
            row.candidate
            for row in self.trials
            if any(one.drift is not None for one in self.store.measurements.of_trial(row.id))
        }

    def rechecked(self) -> set[str]:
        return {
            row.candidate
            for row in self.trials
            for one in self.store.measurements.of_trial(row.id)
            if one.kind is MeasurementKind.RECHECKED
        }


def told(campaign: Campaign) -> str:
    tasks = campaign.store.tasks.of_campaign(campaign.id)
    return drift_text(read_drift(campaign.store, campaign.id, tasks))


# -- one device, as a machine of states


def checked(level: Level, *seconds: float | None, at: float = 0.0) -> list[CheckState | None]:
    verdicts = [level.checked(one, at) for one in seconds]
    return [None if verdict is None else verdict.state for verdict in verdicts]


def test_what_a_device_is_held_against_is_the_middle_of_three_times() -> None:
    level = Level()
    assert checked(level, 1.3, 1.0, 1.01) == [None, None, CheckState.FIRST]
    assert (level.reference_s, level.due_at, level.unsure) == (1.01, EVERY_SECONDS, False)


def test_a_time_within_three_percent_is_steady_and_one_beyond_is_asked_for_again() -> None:
    level = Level(1.0)
    assert checked(level, 1.0 + DRIFT * 0.99, 1.0 - DRIFT * 0.99) == [CheckState.STEADY] * 2
    assert checked(level, 1.05) == [None]
    assert (level.unsure, level.due_at) == (True, 0.0)
    # Something was in its way.
    assert checked(level, 1.01) == [CheckState.STEADY]


@pytest.mark.parametrize("other", [1.2, 0.9])
def test_a_device_that_is_off_three_times_has_drifted_until_it_is_back(other: float) -> None:
    level = Level(1.0)
    assert level.checked(other, 100.0) is level.checked(other, 100.0) is None
    began = level.checked(other, 100.0)
    assert began is not None
    assert (began.state, began.tries, began.began, began.off) == (CheckState.DRIFTED, 3, True, began.drift)
    assert began.drift == pytest.approx(other - 1.0)
    assert (level.drift, level.due_at) == (began.drift, 100.0 + SOON_SECONDS)
    ended = level.checked(1.0, 130.0)
    assert ended is not None
    # What was measured before this check is of no more use than what was before that one.
    assert (ended.state, ended.ended, ended.off) == (CheckState.STEADY, True, began.drift)
    assert level.drift is None


def test_a_device_that_drifted_for_good_is_held_against_what_it_takes_by_then() -> None:
    level = Level(1.0)
    found = checked(level, 1.2, 1.2, *(1.2 + 0.05 * n for n in range(PATIENCE + 1)), 1.4)
    assert found == [None, None, *[CheckState.DRIFTED] * PATIENCE, CheckState.LEVEL, CheckState.STEADY]
    # It got there step by step: the last of them say where it stands.
    assert level.reference_s == pytest.approx(1.2 + 0.05 * (PATIENCE - 1))


def test_a_check_that_fails_says_nothing_and_is_made_again_soon() -> None:
    level = Level(1.0)
    assert checked(level, 1.2, None, at=50.0) == [None, CheckState.FAILED]
    assert (level.drift, level.unsure, level.due_at) == (None, False, 50.0 + SOON_SECONDS)


def test_what_has_changed_about_a_machine_is_said() -> None:
    before = Condition(3100.0, "performance", 0.5, 61.0, 3, None, 10.0)
    after = Condition(2200.0, "powersave", 6.2, 92.0, 17, "power cap", 22.0)
    assert causes(before, after) == (
        "its clock is held down: power cap; throttled 14 times; clock from 3100 to 2200 MHz; "
        "governor from performance to powersave; load from 0.5 to 6.2; from 61 to 92 °C; "
        "its host gave 12 s of its CPU to others"
    )
    assert causes(before, replace(before, load=0.8)) == causes(None, before) == ""


# -- a campaign


@pytest.mark.parametrize("shares_cores", [False, True])
def test_devices_are_checked_at_the_beginning_every_few_minutes_and_at_the_end(
    store: Storage, shares_cores: bool
) -> None:
    machine = Machine(shares_cores=shares_cores)
    machine.condition = Condition(clock_mhz=2600.0, governor="performance", load=1.5)
    campaign = Campaign(store, machine, 1, 2).run()
    assert campaign.tuning.recorded == 80
    first, *rest, last = campaign.checks
    assert (first.state, first.tries) == (CheckState.FIRST, 3)
    assert first.at_s == pytest.approx(0.75)
    assert {row.state for row in [*rest, last]} == {CheckState.STEADY}
    # 800 s and more are measured.
    gaps = [later.at_s - one.at_s for one, later in itertools.pairwise([first, *rest])]
    assert len(gaps) >= 5
    assert all(EVERY_SECONDS <= gap < EVERY_SECONDS + 170 for gap in gaps)
    works = [work for work in machine.diary.works if isinstance(work, MeasureWork | CheckWork)]
    assert isinstance(works[0], CheckWork)
    assert isinstance(works[-1], CheckWork)
    # They take next to nothing of it.
    checked_s = 0.25 * machine.counts[Happening.CHECK]
    assert checked_s < 0.005 * machine.clock.now()
    assert (last.device, last.host, last.condition) == (CPU.device_class, "here", machine.condition)
    assert (last.time_s, last.reference_s, last.drift) == (USUAL_S, USUAL_S, 0.0)
    assert campaign.marked() == set()
    assert campaign.tuning.remarks == []
    assert told(campaign) == f"none: within 0.0% in {len(campaign.checks)} checks of a known kernel"


def test_what_was_measured_in_a_slow_time_is_marked_and_the_best_of_it_is_measured_again(
    store: Storage,
) -> None:
    campaign = Campaign(store, Machine(slow(200, 390)), 1, trials=60).run()
    good = [row for row in campaign.checks if row.state in (CheckState.FIRST, CheckState.STEADY)]
    bad = [row for row in campaign.checks if row.state is CheckState.DRIFTED]
    assert [round(row.drift or 0, 6) for row in bad] == [0.5] * len(bad)
    assert len(bad) > 3
    before = max(row.at_s for row in good if row.at_s < bad[0].at_s)
    after = min(row.at_s for row in good if row.at_s > bad[-1].at_s)
    # From the last good check to the next, whatever it was that each candidate met.
    marked = campaign.marked()
    assert (
        len(marked)
        == sum(row.marked for row in campaign.checks)
        == pytest.approx((after - before) / 10, abs=2)
    )
    # Each candidate is faster than the one before: those of the end of the slow time were the best.
    again = campaign.rechecked()
    assert len(again) == 3
    assert again <= marked
    times = {row.candidate: row for row in campaign.trials}
    for name in again:
        number = int(name.rsplit("-", 1)[1]) + 1
        assert times[name].cost_s == pytest.approx(1.0 / number)
        assert (times[name].drift, times[name].kind) == (None, MeasurementKind.RECHECKED)
        kinds = [one.kind for one in store.measurements.of_trial(times[name].id)]
        assert kinds == [MeasurementKind.FULL, MeasurementKind.RECHECKED]
    assert campaign.tuning.recorded == 60
    (remark,) = campaign.tuning.remarks
    assert f"was up to 50% slower): {len(marked)} measurements are marked, and 3 of the best" in remark
    assert any("is 50% slower than it was" in text for text in campaign.said)
    assert any("is as fast as it was again" in text for text in campaign.said)
    assert told(campaign).startswith(f"{CPU.device_class} was up to 50% slower for ")
    assert f"{len(marked)} measurements are marked" in told(campaign)


def test_a_good_candidate_of_a_slow_time_is_the_best_after_it(
    store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two trials a task: the second is the faster one, and looks slower where the machine is."""
    # It is over so soon that a tenth of that is no time to wait in.
    monkeypatch.setattr(checks, "PATIENT_PART", 10.0)
    machine = Machine(lambda seconds: 2.5 if 15.0 <= seconds < 30.0 else 1.0)
    campaign = Campaign(store, machine, 1, trials=2).run()
    # The campaign was over then; it waited for its device.
    assert campaign.states == ["first", "drifted", "steady", "steady"]
    one, two = campaign.trials
    assert one.cost_s == 1.0
    assert next(m.times for m in store.measurements.of_trial(two.id)) == (1.25,)
    assert (two.cost_s, two.kind) == (0.5, MeasurementKind.RECHECKED)
    (row,) = store.tasks.of_campaign(campaign.id)
    assert row.best_trial_id == two.id


def test_a_moment_in_which_the_kernel_is_off_is_not_believed(store: Storage) -> None:
    machine = Machine()
    machine.known_kernel_s = lambda number, device: USUAL_S * (1.4 if number % 3 == 0 and number > 3 else 1)
    campaign = Campaign(store, machine, 1).run()
    assert set(campaign.states) == {"first", "steady"}
    assert max(row.tries for row in campaign.checks[1:]) == 2
    assert campaign.marked() == set()


def test_a_device_that_drifts_for_good_is_told_once_and_the_campaign_goes_on(store: Storage) -> None:
    campaign = Campaign(store, Machine(slow(200)), 1, 2, trials=40).run()
    assert campaign.tuning.recorded == 80
    assert {row.state for row in store.tasks.of_campaign(campaign.id)} == {TaskState.SATISFIED}
    assert campaign.states.count("level") == 1
    place = campaign.states.index("level")
    assert campaign.states[place - PATIENCE : place] == ["drifted"] * PATIENCE
    assert set(campaign.states[place + 1 :]) == {"steady"}
    assert campaign.checks[place].reference_s == pytest.approx(SLOWER * USUAL_S)
    message = campaign.checks[place].message
    assert "is 50% slower than it was, in 6 checks on end: its known kernel takes 1.5 ms" in message
    assert campaign.said.count(message) == 1
    assert campaign.tuning.remarks[0] == message
    assert read_drift(store, campaign.id, ()).messages == (message,)
    assert "and is for good" in told(campaign)
    # Nothing is lost, and what came after it stands.
    assert 0 < len(campaign.marked()) < 60


def test_a_campaign_that_began_in_a_slow_time_finds_that_out(store: Storage) -> None:
    """What its first checks found was no measure of the device: what seemed as usual was slow."""
    campaign = Campaign(store, Machine(lambda seconds: SLOWER if seconds < 130 else 1.0), 1, trials=50).run()
    assert campaign.states.count("level") == 1
    level = next(row for row in campaign.checks if row.state is CheckState.LEVEL)
    assert level.drift == pytest.approx(1 / SLOWER - 1)
    assert level.reference_s == USUAL_S
    # What was measured at the beginning: slower by as much as the kernel was.
    (first, *_) = store.measurements.of_trial(campaign.trials[0].id)
    assert first.drift == pytest.approx(SLOWER - 1)
    # All before it, but for what was measured again.
    before = [row for row in campaign.checks if row.at_s <= level.at_s]
    assert len(campaign.marked()) == sum(row.marked for row in before) > 25


def test_a_campaign_is_held_against_what_earlier_ones_found_on_the_device(store: Storage) -> None:
    Campaign(store, Machine(), 1, trials=10).run()
    campaign = Campaign(store, Machine(slow(0)), 2, trials=4).run()
    assert set(campaign.states) == {"drifted"}
    # All it measured is of a slow time, from the first on, and stays stored.
    assert len(campaign.marked()) == campaign.tuning.recorded == 4
    (remark,) = campaign.tuning.remarks
    assert remark.endswith("so the next campaign takes the best of these again")
    # The next one finds the device as it was: it begins with those.
    later = Campaign(store, Machine(), 2, trials=6)
    later.run()
    assert set(later.states) == {"steady"}
    assert sum(one.drift is None for one in campaign.trials) == 3
    assert "the best of 1 task" not in told(campaign)


def test_another_kernel_or_toolchain_has_a_level_of_its_own(store: Storage) -> None:
    Campaign(store, Machine(), 1, trials=10).run()
    machine = Machine(slow(0))
    machine.versions = machine.fleet.versions = {"tvm": "0.28"}
    other = Campaign(store, machine, 2, trials=10).run()
    assert other.states == ["first", "steady"]
    assert other.marked() == set()


def measured_at_last(store: Storage, device: str, host: str = "here") -> str:
    """Store what a run measured that was killed before its next check."""
    candidate = Candidate(f"late on {device} of {host}", "[]")
    measured = Measurement(TrialState.OK, (0.5,), device=device, host=host)
    late = NewTrial(workload(1).hash, CPU.device_class, candidate, measured, versions={"tvm": "0.27"})
    assert store.trials.record([late]) == 1
    return candidate.hash


@pytest.mark.parametrize("began", [0.0, 100.0])
def test_what_a_killed_run_measured_last_is_marked_where_its_device_is_off_then(
    store: Storage, began: float
) -> None:
    device = Campaign(store, Machine(), 1, trials=10).run().checks[0].device
    late = measured_at_last(store, device)
    elsewhere = [measured_at_last(store, device, "there"), measured_at_last(store, "another")]
    campaign = Campaign(store, Machine(slow(began)), 2, trials=30).run()
    assert "drifted" in campaign.states
    found = {row.candidate: row.drift for row in store.trials.best(workload(1).hash, CPU.device_class, 20)}
    # What it was like at the beginning of the next run tells; what comes later in that doesn't.
    assert (found[late] is None) == (began > 0)
    assert [found[one] for one in elsewhere] == [None, None]


def test_of_turns_that_are_stored_as_one_a_single_one_on_a_drifted_device_marks_it(store: Storage) -> None:
    campaign = Campaign(store, Machine(), 1, trials=2)
    checks = campaign.tuning._checks
    (device,) = campaign.machine.fleet.all_devices
    watch = checks._watch(device)
    watch._off[watch._interval] = 0.5
    checks.measured(device, "first")
    watch._interval += 1
    checks.measured(device, "second")
    pair = (workload(1).hash, CPU.device_class)
    _, again = campaign.tuning._again._new(
        next(iter(campaign.tuning._subjects)),
        Candidate("candidate", "[]"),
        Measurement(TrialState.OK, (1.0,)),
        MeasurementKind.AGAIN,
        ["first", "second"],
    )
    assert (again.drift, again.token) == (0.5, "second")
    # What the next check says of the second is said of what is stored.
    assert watch._since == [MeasurementKey(*pair, "candidate", "second")]
    assert checks._intervals == {}


def test_one_device_of_two_drifts_alone(store: Storage) -> None:
    machine = Machine()
    machine.devices = lambda info: 2
    machine.fleet = SimulatedFleet(machine, DevicesWanted((), {"a": replace(CPU, device_class="cpu-a-2")}))
    drifted = []

    def kernel(number: int, device: str) -> float:
        off = device == "a#1" and 100 < machine.clock.now() < 250
        drifted.append(off)
        return USUAL_S * (1.5 if off else 1.0)

    machine.known_kernel_s = kernel
    campaign = Campaign(store, machine, 1, 2).run()
    assert any(drifted)
    watches = campaign.tuning._checks._watches
    assert sorted(watches) == ["a", "a#1"]
    # Both have one key; the times are told apart all the same.
    assert campaign.states.count("drifted") >= 2
    assert 0 < len(campaign.marked()) < 60


def test_a_device_that_can_not_be_checked_does_not_stop_a_campaign(store: Storage) -> None:
    machine = Machine()
    machine.known_kernel_s = lambda number, device: 0.0 if number in (4, 5, 7) else USUAL_S
    campaign = Campaign(store, machine, 1).run()
    assert campaign.tuning.recorded == 40
    assert campaign.states.count("failed") == 3
    failed = next(row for row in campaign.checks if row.state is CheckState.FAILED)
    assert (failed.time_s, failed.drift, failed.message) == (None, None, "the device went away")
    assert campaign.marked() == set()


def test_a_device_that_is_gone_at_the_end_is_not_waited_for(store: Storage) -> None:
    machine = Machine()
    machine.fails = lambda kind, number: (
        EngineLostError("it is gone") if kind is Happening.CHECK and number > 3 else None
    )
    campaign = Campaign(store, machine, 1, trials=2).run()
    assert campaign.tuning.recorded == 2
    assert campaign.states == ["first", "failed"]


def test_a_kernel_that_was_lost_with_its_node_is_built_again(store: Storage) -> None:
    machine = Machine()
    machine.fails = lambda kind, number: (
        EngineLostError("its node is gone") if kind is Happening.CHECK and number == 4 else None
    )
    campaign = Campaign(store, machine, 1).run()
    builds = [
        work for work in machine.diary.works if isinstance(work, BuildWork) and work.candidate == KNOWN[1]
    ]
    assert len(builds) == 2
    assert campaign.states.count("steady") >= 2


@pytest.mark.parametrize("crashes", [False, True])
def test_a_kernel_that_can_not_be_built_is_told_once(store: Storage, crashes: bool) -> None:
    machine = Machine()

    def fails(kind: Happening, number: int) -> EngineError | None:
        return (
            EngineLostError("the compiler crashed")
            if crashes and kind is Happening.BUILD and number <= 3
            else None
        )

    def build(work: BuildWork, took_s: float) -> BuildResult:
        if work.candidate == KNOWN[1]:
            return BuildResult(0.1, TrialState.BUILD_ERROR, "no such instruction\nat line 1")
        return BuildResult(0.1)

    machine.fails, machine.build = fails, build  # type: ignore[method-assign]
    campaign = Campaign(store, machine, 1, trials=10).run()
    assert campaign.tuning.recorded == 10
    assert campaign.checks == []
    (remark,) = campaign.tuning.remarks
    why = "the compiler crashed" if crashes else "no such instruction"
    assert remark == f"{CPU.device_class} is not checked for drift: no known kernel can be built ({why})"
    assert told(campaign) == ""


def test_a_campaign_that_is_stopped_does_not_wait_for_its_last_check(store: Storage) -> None:
    campaign = Campaign(store, Machine(), 1)
    seen: list[int] = []

    def stopped() -> bool:
        seen.append(campaign.machine.counts[Happening.MEASURE])
        return seen[-1] >= 10

    tune_alone(store, campaign.machine.fleet, campaign.tuning, stopped)
    assert campaign.states == ["first"]
    assert 10 <= campaign.tuning.recorded < 20


def test_a_clock_that_is_set_back_changes_no_interval(store: Storage) -> None:
    campaign = Campaign(store, Machine(slow(200, 390)), 1, trials=60).run()
    told_before, marked = told(campaign), campaign.marked()
    (time,) = read_drift(store, campaign.id, ()).times
    assert time.seconds is not None
    assert store.database.engine is not None
    with store.database.engine.begin() as connection:
        # An hour back, in the middle of it.
        connection.execute(
            text(
                "UPDATE device_checks SET checked_at = datetime(checked_at, '-1 hour') || '.000000' "
                "WHERE id > (SELECT min(id) FROM device_checks WHERE state = 'drifted')"
            )
        )
    (after,) = read_drift(store, campaign.id, ()).times
    assert (after.seconds, after.marked, after.drift) == (time.seconds, time.marked, time.drift)
    assert (told(campaign), campaign.marked()) == (told_before, marked)


def test_the_time_to_beat_is_as_slow_as_the_device(store: Storage) -> None:
    machine = Machine(slow(0))
    Campaign(store, Machine(), 1, trials=10).run()
    Campaign(store, machine, 2, trials=10).run()
    bests = [work for work in machine.to_beat if work is not None]
    # Each of the candidates before took 1.5 times its own 1 s, 1/2, 1/3 and so on; its bar is as much higher.
    assert bests[:3] == pytest.approx([1.5 * 1.5 / number for number in (1, 2, 3)])
