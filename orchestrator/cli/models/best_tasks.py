"""The best trials of tasks: as the documents of `best`, and as a table with the schedules below it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.text import Text

from orchestrator.cli.kit.device_column import DeviceColumn
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import age, latency
from orchestrator.documents.best import BestTask, task_best_document
from orchestrator.documents.ratios import speed_text
from orchestrator.documents.text import between_text

if TYPE_CHECKING:
    from orchestrator.storage import Storage, TrialRow
    from orchestrator.toolbox import Toolbox

__all__ = ["best_documents", "show_best"]


def best_documents(
    session: Session, store: Storage, tools: Toolbox, tasks: Sequence[BestTask], no_trace: bool
) -> list[dict[str, Any]]:
    """Return tasks with their trials; with the schedules as text, unless no traces are wanted."""
    schedules: dict[int, str] = {}
    with session.steps() as steps:
        for task in () if no_trace else tasks:
            for trial in task.best:
                steps.briefly(f"reading the schedule of {task.name}")
                schedules[trial.id] = _schedule(store, tools, trial)
    measured = store.measurements.of_trials([trial.id for task in tasks for trial in task.best])
    found: list[dict[str, Any]] = task_best_document(tasks, measured, schedules)["tasks"]
    return found


def show_best(session: Session, tasks: Sequence[dict[str, Any]]) -> None:
    """Write such documents for people."""
    device = DeviceColumn(trial["device_class"] for task in tasks for trial in task["best"])
    between = ("between",) if any(trial["interval_s"] for task in tasks for trial in task["best"]) else ()
    level = ("level with",) if any(task["level_with"] for task in tasks) else ()
    right = ("calls", "best", *between, "GFLOP/s", "trial", *level)
    grid = Grid(
        "task", *right, "recorded", "workload", *device.heading, right=right, flexible=("task", "device")
    )
    schedules: list[tuple[Text, str]] = []
    for task in tasks:
        calls = "-" if task["weight"] is None else str(task["weight"])
        workload = task["workload_hash"][:12]
        for trial in task["best"]:
            if trial["schedule"] is not None:
                head = Text(f"{task['name']}  {latency(trial['cost_s'])}", style="bold")
                head.append(f"  trial {trial['id']}, workload {workload}", style="not bold dim")
                schedules.append((head, trial["schedule"]))
            grid.add(
                task["name"],
                calls,
                latency(trial["cost_s"]),
                *(_interval(trial["interval_s"]) for _ in between),
                speed_text(task["flops"], trial["cost_s"]),
                str(trial["id"]),
                *(str(task["level_with"] or "-") if trial is task["best"][0] else "-" for _ in level),
                age(datetime.fromisoformat(trial["created_at"])) + (", stale" if trial["stale"] else ""),
                workload,
                *device.cell(trial["device_class"]),
            )
        if not task["best"]:
            grid.add(task["name"], calls, *("-" for _ in right[1:]), "untuned", workload, *device.cell(None))
    session.show(grid.table())
    for head, schedule in schedules:
        session.write(Text(""), head, Text(schedule.rstrip()))


def _interval(found: dict[str, float] | None) -> str:
    return "-" if found is None else between_text(found["low"], found["high"])


def _schedule(store: Storage, tools: Toolbox, trial: TrialRow) -> str:
    from workers.messages import Candidate

    assert trial.trace is not None
    return tools.describe(store.workloads.get(trial.workload_hash), Candidate(trial.candidate, trial.trace))
