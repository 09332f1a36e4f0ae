"""The best trials of tasks: as the documents of `best`, and as a table with the schedules below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.text import Text

from orchestrator.cli.kit.device_column import DeviceColumn
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import age, latency
from orchestrator.documents.ratios import speed_text
from orchestrator.documents.trials import trial_document

if TYPE_CHECKING:
    from orchestrator.storage import Storage, TrialRow
    from orchestrator.toolbox import Toolbox

__all__ = ["BestTask", "best_documents", "show_best"]


@dataclass(frozen=True)
class BestTask:
    """A task, or a workload of no model in particular, whose `weight` is None; and its fastest trials."""

    name: str
    workload_hash: str
    weight: int | None
    flops: float
    best: Sequence[TrialRow]


def best_documents(
    session: Session, store: Storage, tools: Toolbox, tasks: Sequence[BestTask], no_trace: bool
) -> list[dict[str, Any]]:
    """Return tasks with their trials; with the schedules as text, unless no traces are wanted."""
    measured = store.measurements.of_trials([trial.id for task in tasks for trial in task.best])
    documents = []
    with session.steps() as steps:
        for task in tasks:
            trials = []
            for trial in task.best:
                schedule = None
                if not no_trace:
                    steps.briefly(f"reading the schedule of {task.name}")
                    schedule = _schedule(store, tools, trial)
                trials.append(
                    trial_document(trial, measured.get(trial.id, []), schedule=schedule, traced=True)
                )
            documents.append(
                {
                    "name": task.name,
                    "workload_hash": task.workload_hash,
                    "weight": task.weight,
                    "flops": task.flops,
                    "best": trials,
                }
            )
    return documents


def show_best(session: Session, tasks: Sequence[dict[str, Any]]) -> None:
    """Write such documents for people."""
    device = DeviceColumn(trial["device_class"] for task in tasks for trial in task["best"])
    right = ("calls", "best", "GFLOP/s", "trial")
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
                speed_text(task["flops"], trial["cost_s"]),
                str(trial["id"]),
                age(datetime.fromisoformat(trial["created_at"])) + (", stale" if trial["stale"] else ""),
                workload,
                *device.cell(trial["device_class"]),
            )
        if not task["best"]:
            grid.add(task["name"], calls, "-", "-", "-", "untuned", workload, *device.cell(None))
    session.show(grid.table())
    for head, schedule in schedules:
        session.write(Text(""), head, Text(schedule.rstrip()))


def _schedule(store: Storage, tools: Toolbox, trial: TrialRow) -> str:
    from workers.messages import Candidate

    assert trial.trace is not None
    return tools.describe(store.workloads.get(trial.workload_hash), Candidate(trial.candidate, trial.trace))
