"""``profile``: where a model's time goes, inside the model, beside onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.aim import Aim
from orchestrator.cli.kit.arguments import model_request, require_engine, weighs_layouts
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.stored import tune_command
from orchestrator.cli.kit.text import device_text, latency, short_path
from orchestrator.documents.profile import chrome_trace, profile_document, shown_tasks
from orchestrator.documents.ratios import percent_text
from orchestrator.files import writable, write

if TYPE_CHECKING:
    from orchestrator.builds.profile import ProfileReport

__all__ = ["profile"]

# Of the kernels' time; what takes less, and loses less, is summed up.
_LEAST = 0.01


@command(
    "profile",
    panel=options.PANELS.MODELS,
    examples=("profile model.onnx", "profile model.onnx --trace trace.json", "profile model.onnx --json"),
)
def profile(
    session: Session,
    model: options.Model,
    conversion: ConversionOptions,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace",
            metavar="FILE",
            help="Write one inference of each side there, call by call, for chrome://tracing or Perfetto.",
            show_default=False,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="A line for each task, also those that take less than 1%.")
    ] = False,
    input_shape: options.InputShapes = None,
    target: options.Target = "auto",
    turns: Annotated[
        int, typer.Option("--turns", min=1, metavar="N", help="Turns of both; the medians count.")
    ] = 3,
    seed: options.Seed = 1,
    engine: options.Engine = options.DEFAULT_ENGINE,
    layout: options.TunedLayout = None,
    layout_tuning: options.LayoutTuning = "auto",
) -> None:
    """Time a model's kernels where they run, and onnxruntime's nodes beside them.

    The model is built with the best that is stored. inside is what a task's kernels take in the model, alone
    what its best record took when it was measured by itself; lost is what onnxruntime does not spend on the
    same. Tasks that lose most come first. It runs on this machine.
    """
    from orchestrator.builds.profile import profile_model

    require_engine(engine)
    session.leave_stdout_to(trace)
    file = None if trace is None else writable(trace, read=[model])
    request = model_request(session, model, input_shape, conversion, Aim.of(engine, [target]))
    with session.storage() as store, session.toolbox(engine) as tools, session.steps() as steps:
        report = profile_model(
            store,
            tools,
            request,
            target=target,
            turns=turns,
            seed=seed,
            layout=layout,
            weigh_layouts=weighs_layouts(layout_tuning),
            say=steps,
        )
        document = profile_document(report)
        store.profiles.add(report.model_id, report.device_class, document)
    session.emit(document)
    session.show(_table(document, 0.0 if everything else _LEAST), *_lines(report))
    if file is not None:
        write(file, json.dumps(chrome_trace(document)).encode())
        session.write(Text(f"wrote {short_path(str(file))}"))
    if report.tasks_tuned < report.tasks_total:
        how = tune_command(session, model, input_shape, conversion, target, engine)
        missing = report.tasks_total - report.tasks_tuned
        session.say(
            f"{missing} of {report.tasks_total} tasks are untuned; to tune them:\n  {how}", style="yellow"
        )


def _table(document: dict[str, Any], least: float) -> Table:
    """Tasks beside onnxruntime, those first that lose most."""
    right = ("calls", "inside", "share", "GFLOP/s", "alone", "onnxruntime", "ratio", "lost")
    grid = Grid("task", *right, right=right, flexible=("task",))
    large, small = shown_tasks(document, least)
    for task in large:
        speed, reference_s = task["gflops"], task["reference_s"]
        grid.add(
            task["name"],
            str(task["calls"]),
            latency(task["inside_s"]),
            percent_text(task["share"]),
            f"{speed:.1f}" if speed else "-",
            latency(task["alone_s"]),
            latency(reference_s),
            f"{task['inside_s'] / reference_s:.2f}" if reference_s else "-",
            _signed(task["lost_s"]) if reference_s is not None else "-",
        )
    if small:
        inside = sum(task["inside_s"] for task in small)
        grid.add(
            f"{len(small)} smaller ones",
            str(sum(task["calls"] for task in small)),
            latency(inside),
            percent_text(inside / document["kernels_s"]),
            "",
            "",
            latency(sum(task["reference_s"] or 0.0 for task in small) or None),
            "",
            "",
            style="dim",
        )
    grid.add(
        "without a counterpart",
        "",
        "",
        "",
        "",
        "",
        latency(document["reference_unmatched_s"]),
        "",
        "",
        style="dim",
    )
    ours, theirs = document["kernels_s"], document["reference_kernels_s"]
    ratio = f"{ours / theirs:.2f}" if theirs else "-"
    grid.add(
        "all kernels",
        "",
        latency(ours),
        "",
        "",
        "",
        latency(theirs),
        ratio,
        _signed(ours - theirs),
        style="bold",
    )
    return grid.table()


def _signed(seconds: float) -> str:
    return ("-" if seconds < 0 else "") + latency(abs(seconds))


def _lines(report: ProfileReport) -> tuple[RenderableType, ...]:
    """Say what a run takes that nobody looks into, and how much of it lies between the kernels."""
    line = Text(f"\n{report.model} on {device_text(report.device_class)}: ", style="bold")
    line.append(f"{latency(report.run_s)} a run, onnxruntime {latency(report.reference_run_s)}")
    if report.between_s > 0:
        line.append(f"; {latency(report.between_s)} of it between the kernels: calls, memory")
    return (line,)
