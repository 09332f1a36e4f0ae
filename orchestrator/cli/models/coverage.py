"""The tasks of a model and what is stored for each: what several commands write of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.cli.kit.text import gflops, instant, latency, plural
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.builds import Coverage

__all__ = ["coverage_documents", "coverage_line", "coverage_text", "narrowed", "wanted_tasks"]


def wanted_tasks(pattern: str | None) -> Callable[[str], bool]:
    """Read ``--tasks``, as what says of a task's name whether it is wanted.

    Raises
    ------
    UsageError
    """
    if pattern is None:
        return lambda _: True
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--tasks {pattern!r} is not a pattern: {error}") from None
    return lambda name: found.search(name) is not None


def narrowed(coverage: Coverage, wants: Callable[[str], bool]) -> Coverage:
    """Leave out the tasks whose names aren't wanted.

    Raises
    ------
    NotFoundError
        None is left.
    """
    kept = tuple(task for task in coverage.tasks if wants(task.name))
    if coverage.tasks and not kept:
        raise NotFoundError(
            f"no task has such a name; there are: {', '.join(task.name for task in coverage.tasks)}"
        )
    return replace(coverage, tasks=kept)


def coverage_documents(coverage: Coverage) -> list[dict[str, Any]]:
    """The tasks of a model and what is stored for each."""
    return [
        {
            "name": task.name,
            "workload_hash": task.workload_hash,
            "weight": task.weight,
            "flops": task.flops,
            "trials": task.trials,
            "failures": task.failures,
            "best_s": task.best_s,
            "expected_s": task.expected_s,
            "gflops": gflops(task.flops, task.best_s),
            "trial_id": task.trial_id,
            "recorded_at": instant(task.recorded_at),
            "borrowed_from": task.borrowed_from or None,
            "lent": task.lent,
            "stale": task.stale,
            "set_aside": [
                {
                    "trial_id": aside.trial_id,
                    "candidate": aside.candidate,
                    "best_s": aside.best_s,
                    "reason": aside.reason,
                }
                for aside in task.set_aside
            ],
        }
        for task in coverage.tasks
    ]


def coverage_line(coverage: Coverage) -> str:
    """Say how many tasks are tuned, and what those add up to."""
    return coverage_text(len(coverage.tasks), coverage.tuned, coverage.borrowed, coverage.expected_s)


def coverage_text(total: int, tuned: int, borrowed: int, expected_s: float) -> str:
    """Say the same, by the numbers alone."""
    line = f"{tuned} of {plural(total, 'task')} tuned"
    # Of a record that another device lent, no time here is known.
    timed = tuned - borrowed
    if timed:
        those = "they" if timed == total else "those" if timed == tuned else f"the {timed} timed here"
        line += f"; {those} add up to {latency(expected_s)} a run"
    return line
