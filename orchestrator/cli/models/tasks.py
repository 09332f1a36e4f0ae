"""``tasks``: the tasks of a model, and how far the store is for each."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.arguments import model_request, require_engine
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import amount, gflops, instant, latency
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.builds import Coverage
    from orchestrator.models.extraction import ExtractedModel

__all__ = [
    "coverage_documents",
    "coverage_line",
    "coverage_table",
    "mflop",
    "narrowed",
    "tasks",
    "tasks_document",
    "wanted_tasks",
]


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


def tasks_document(model: ExtractedModel, coverage: Coverage) -> dict[str, Any]:
    """A model's tasks on a device."""
    return {
        "model": model.prepared.name,
        "path": model.request.path,
        "changes": list(model.prepared.changes),
        "target": model.device.target,
        "device_class": model.device.device_class,
        "tasks_total": len(coverage.tasks),
        "tasks_tuned": coverage.tuned,
        "expected_s": coverage.expected_s,
        "tasks": coverage_documents(coverage),
    }


def tasks(
    session: Session,
    model: options.Model,
    input_shape: options.InputShapes = None,
    target: options.Target = "auto",
    pattern: options.TaskPattern = None,
    engine: options.Engine = "metaschedule",
) -> None:
    """List what would be tuned in a model, and what is stored for it.

    A task is a computation that TVM compiles as one kernel. calls is how often one inference runs it, MFLOP
    the work of one call; `tunefleet best --workload` takes what the last column says.
    """
    from orchestrator.builds import coverage_of
    from orchestrator.models.extraction import extract_model

    pass
    pass
    from orchestrator.toolbox import Toolbox

    wants = wanted_tasks(pattern)
    require_engine(engine)
    request = model_request(model, input_shape)
    with session.storage() as store, Toolbox(engine) as tools, session.steps() as steps:
        steps("looking for the target")
        device = tools.resolve_target(target)
        extracted = extract_model(store, tools, request, device, say=steps)
        coverage = narrowed(coverage_of(store, extracted), wants)
    session.emit(tasks_document(extracted, coverage))
    session.show(coverage_table(coverage), Text(f"\n{coverage_line(coverage)}", style="bold"))


def wanted_tasks(pattern: str | None) -> Callable[[str], bool]:
    if pattern is None:
        return lambda _: True
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--tasks {pattern!r} is not a pattern: {error}") from None
    return lambda name: found.search(name) is not None


def narrowed(coverage: Any, wants: Callable[[str], bool]) -> Any:
    from dataclasses import replace

    kept = tuple(task for task in coverage.tasks if wants(task.name))
    if coverage.tasks and not kept:
        raise NotFoundError(
            f"no task has such a name; there are: {', '.join(task.name for task in coverage.tasks)}"
        )
    return replace(coverage, tasks=kept)


def coverage_line(coverage: Any) -> str:
    from orchestrator.cli.kit.text import latency, plural

    total = len(coverage.tasks)
    line = f"{coverage.tuned} of {plural(total, 'task')} tuned"
    if coverage.tuned:
        those = "they" if coverage.tuned == total else "those"
        line += f"; {those} add up to {latency(coverage.expected_s)} a run"
    return line


def coverage_table(coverage: Coverage) -> Table:
    """A model's tasks and what is stored for them."""
    right = ("calls", "MFLOP", "trials", "best", "GFLOP/s")
    grid = Grid("task", *right, "workload", right=right, flexible=("task",))
    for task in coverage.tasks:
        speed = gflops(task.flops, task.best_s)
        grid.add(
            task.name,
            str(task.weight),
            mflop(task.flops),
            amount(task.trials),
            latency(task.best_s),
            f"{speed:.1f}" if speed else "-",
            task.workload_hash[:12],
        )
    return grid.table()


def mflop(flops: float) -> str:
    return f"{flops / 1e6:,.2f}" if flops else "-"
