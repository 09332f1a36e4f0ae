"""What the line under a table of tasks says: times of this device, and of no other."""

from __future__ import annotations

import pytest

from orchestrator.builds.coverage import Coverage, TaskCoverage
from orchestrator.cli.models.coverage import coverage_line


def task(best_s: float | None, borrowed: str = "") -> TaskCoverage:
    return TaskCoverage("dense", "ab", 2, 1e6, 0, 0, best_s, None, None, borrowed)


@pytest.mark.parametrize(
    ("tasks", "line"),
    [
        ([task(None)], "0 of 1 task tuned"),
        ([task(1e-3), task(2e-3)], "2 of 2 tasks tuned; they add up to 6.00 ms a run"),
        ([task(1e-3), task(None)], "1 of 2 tasks tuned; those add up to 2.00 ms a run"),
        # A time that was measured elsewhere is none here, and not 0 ns either.
        ([task(1e-3, "other"), task(2e-3, "other")], "2 of 2 tasks tuned"),
        ([task(1e-3), task(2e-3, "other")], "2 of 2 tasks tuned; the 1 timed here add up to 2.00 ms a run"),
    ],
)
def test_times_of_another_device_are_not_added_up(tasks: list[TaskCoverage], line: str) -> None:
    assert coverage_line(Coverage("here", tuple(tasks), {}, "key")) == line
