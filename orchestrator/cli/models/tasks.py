"""``tasks``: the tasks of a model, and how far the store is for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.aim import Aim
from orchestrator.cli.kit.arguments import model_request, require_engine
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import amount, latency, mflop
from orchestrator.cli.models.coverage import coverage_documents, coverage_line, narrowed, wanted_tasks
from orchestrator.documents.layouts import ShownLayout, layout_of, tried_document
from orchestrator.documents.origins import origin_document
from orchestrator.documents.ratios import speed_text

if TYPE_CHECKING:
    from orchestrator.builds import Coverage
    from orchestrator.models.lookup import StoredModel
    from orchestrator.models.request import ModelRequest

__all__ = ["tasks"]


@command(
    "tasks",
    panel=options.PANELS.MODELS,
    examples=("tasks model.onnx", "tasks model.onnx --tasks conv2d --json", "tasks model.onnx --layout nchw"),
)
def tasks(
    session: Session,
    model: options.Model,
    conversion: ConversionOptions,
    input_shape: options.InputShapes = None,
    target: options.Target = "auto",
    pattern: options.TaskPattern = None,
    engine: options.Engine = options.DEFAULT_ENGINE,
    layout: options.TunedLayout = None,
) -> None:
    """List what would be tuned in a model, and what is stored for it.

    A task is a computation that TVM compiles as one kernel. calls is how often one inference runs it, MFLOP
    the work of one call; `tunefleet best --workload` takes what the last column says.
    """
    from orchestrator.builds import coverage_of
    from orchestrator.models.lookup import find_model

    wants = wanted_tasks(pattern)
    require_engine(engine)
    request = model_request(session, model, input_shape, conversion, Aim.of(engine, [target]))
    with session.storage() as store, session.toolbox(engine) as tools, session.steps() as steps:
        steps("looking for the target")
        device = tools.resolve_target(target)
        # Those that this engine would tune, not those that another version of it found.
        version = tools.engine_version()
        if layout is not None:
            tools.check_layout(layout)
        found = find_model(store, tools, request, device, version=version, layout=layout, say=steps)
        chosen = layout_of(store, found)
        coverage = narrowed(coverage_of(store, found), wants)
    session.emit(_document(found, request, coverage, chosen))
    session.show(_table(coverage), Text(f"\n{coverage_line(coverage)}", style="bold"))
    if chosen is not None:
        session.show(f"layout {chosen}")


def _document(
    model: StoredModel, request: ModelRequest, coverage: Coverage, chosen: ShownLayout | None
) -> dict[str, Any]:
    """A model's tasks on a device."""
    return {
        "model": model.name,
        "path": request.path,
        "changes": list(model.changes),
        "origin": origin_document(model.origin),
        "target": model.device.target,
        "device_class": model.device_class,
        "layout": chosen.layout if chosen else None,
        "layout_reason": chosen.reason if chosen else "",
        "layout_tried": tried_document(chosen.tried if chosen else None),
        "layout_alternative": (chosen.alternative if chosen else "") or None,
        "tasks_total": len(coverage.tasks),
        "tasks_tuned": coverage.tuned,
        "expected_s": coverage.expected_s,
        "tasks": coverage_documents(coverage),
    }


def _table(coverage: Coverage) -> Table:
    """A model's tasks and what is stored for them."""
    right = ("calls", "MFLOP", "trials", "best", "GFLOP/s")
    grid = Grid("task", *right, "workload", right=right, flexible=("task",))
    for task in coverage.tasks:
        grid.add(
            task.name,
            str(task.weight),
            mflop(task.flops),
            amount(task.trials),
            latency(task.best_s),
            speed_text(task.flops, task.best_s),
            task.workload_hash[:12],
        )
    return grid.table()
