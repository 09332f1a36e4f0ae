"""When a campaign's tuning ends before its time, with a clock that goes by when told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from orchestrator.campaigns.tuning import ending
from orchestrator.campaigns.tuning.ending import Ending
from orchestrator.campaigns.tuning.machine import Machine
from orchestrator.campaigns.tuning.progress import FLAT_SECONDS
from tests.kit.planned_campaigns import CPU

MODEL = (1, CPU.device_class)


class Clock:
    """Stands in for the module ``time``."""

    now = 5000.0

    def monotonic(self) -> float:
        return self.now


class Told:
    """Stands in for a campaign's machine."""

    trying = False
    wound_up = 0

    def wind_up(self) -> None:
        self.wound_up += 1


class Run:
    """An ending, and what it was told and says."""

    def __init__(self, clock: Clock, until: Mapping[tuple[int, str], float], hours: float | None) -> None:
        self.clock, self.machine, self.said = clock, Told(), list[str]()
        self.ending = Ending(cast("Machine", self.machine), until, self.said.append)
        self.ending.ends_at = None if hours is None else clock.now + 3600 * hours
        self.ending.begin()

    def tend(self, recorded: int, latency_s: float, after_s: float = 0.0) -> bool:
        self.clock.now += after_s
        return self.ending.tend(recorded, lambda: {MODEL: latency_s})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(ending, "time", made)
    return made


def test_what_is_stored_may_be_enough_before_anything_is_searched(clock: Clock) -> None:
    run = Run(clock, {MODEL: 0.005}, None)
    assert run.tend(0, 0.005)
    assert run.machine.wound_up == 1
    assert run.said == ["--until was reached: the tasks of a run add up to 5 ms"]
    assert run.ending.more_time is None


def test_a_curve_that_was_flat_for_ten_minutes_of_measuring_ends_it(clock: Clock) -> None:
    run = Run(clock, {}, 2)
    for number in range(int(FLAT_SECONDS / 10)):
        assert not run.ending.enough
        run.tend(number, 0.005, 10.0)
    assert "tuning ended" in run.ending.enough
    assert run.machine.wound_up == 1


def test_a_campaign_that_others_kept_from_measuring_is_not_taken_for_flat(clock: Clock) -> None:
    run = Run(clock, {}, 2)
    for number in range(12):
        run.tend(number, 0.005, 10.0)
    assert run.ending.more_time is not None
    assert run.ending.more_time.seconds == 120.0
    # Those of a higher priority come; twenty minutes later it has a trial more.
    run.tend(12, 0.005, 1200.0)
    assert run.ending.enough == ""
    assert run.ending.more_time.seconds == 150.0
    assert run.machine.wound_up == 0
