"""``history``: how the best time went down, trial by trial."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.arguments import require_known, require_one
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.served import served_place
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.stored import device_of_workload, stored_model, tune_command
from orchestrator.cli.kit.text import amount, device_text, latency, plural, when
from orchestrator.documents.history import history_document
from orchestrator.documents.ratios import gain_text, ratio_text, speed_text
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.storage import ImprovementRow

__all__ = ["history"]


@command(
    "history",
    panel=options.PANELS.MODELS,
    examples=("history model.onnx", "history --workload 3f0a91 --device znver4 --json"),
    place=Place.ANYWHERE,
)
def history(
    session: Session,
    conversion: ConversionOptions,
    model: options.MaybeModel = None,
    workload: options.Workload = None,
    device: options.Device = None,
    engine: options.StoredEngine = None,
    input_shape: options.InputShapes = None,
    limit: Annotated[int, typer.Option("--limit", min=0, metavar="N", help="The last N; 0 for all.")] = 0,
) -> None:
    """Show how the best time went down, trial by trial.

    One row for each trial that was the best of its workload when it was recorded. Of a model: what the
    best times of its tasks added up to at that moment, in one run.
    """
    require_one(model, workload)
    if workload is not None and input_shape:
        raise UsageError("--input-shape is for a model, and --workload names none")
    if session.address is not None:
        served = _served(session, conversion, model, workload, device, engine, input_shape, limit)
        name, device_class, total, flops, points = served
    else:
        found = _here(session, conversion, model, workload, device, engine, input_shape, limit)
        name, device_class, total, flops, points = found
    session.emit(history_document(name, device_class, total, points, flops=flops))
    session.show(_table(points, total, flops), _line(points, total, name, device_class))


_History = tuple[str, str, int, float | None, list["ImprovementRow"]]


def _here(
    session: Session,
    conversion: ConversionOptions,
    model: Path | None,
    workload: str | None,
    device: str | None,
    engine: str | None,
    input_shape: list[str] | None,
    limit: int,
) -> _History:
    """Return name, device class, number of tasks, operations of a workload, and improvements."""
    require_known(engine)
    with session.storage(create=False) as store:
        last = limit or None
        if workload is not None:
            row = store.workloads.resolve(workload)
            name, total, flops = row.name, 1, row.flops
            device_class = device_of_workload(store, row.hash, device, f"{row.name} ({row.hash[:12]})")
            points = store.answers.history(row.hash, device_class, last=last)
        else:
            assert model is not None
            found = stored_model(session, store, model, input_shape, device, engine, conversion)
            name, device_class, flops = found.name, found.device_class, None
            points = store.answers.model_history(found.id, device_class, found.engine_version, last=last)
            shares = store.answers.slowest(found.id, device_class, found.engine_version, limit=1)
            total = shares.tasks_total
            if not points:
                tune = tune_command(session, model, input_shape, conversion, engine=found.engine)
                raise NotFoundError(f"no trial of {name} succeeded on {device_class}; `{tune}` measures some")
        if not points:
            raise NotFoundError(
                f"no trial of {name} succeeded on {device_class}; "
                f"`{session.command_line('failures', '--workload', str(workload))}` says why"
            )
    return name, device_class, total, flops, points


def _served(
    session: Session,
    conversion: ConversionOptions,
    model: Path | None,
    workload: str | None,
    device: str | None,
    engine: str | None,
    input_shape: list[str] | None,
    limit: int,
) -> _History:
    """Return the same of a service."""
    from orchestrator.remote.rows.answers import improvements_of

    session.refuse_served(engine=engine)
    server = session.server()
    assert server is not None
    with server:
        place = served_place(session, server, model, workload, input_shape, conversion)
        document = server.get("history", *place, "history", device=device, last=limit or None)
    points = improvements_of(document)
    name = points[0].name if document["model"] is None else document["model"]
    return name, document["device_class"], document["tasks_total"], document["flops"], points


def _table(points: Sequence[ImprovementRow], total: int, flops: float | None) -> Table:
    """The improvements of a workload, or of a model where its `flops` aren't one number."""
    if flops is not None:
        right = ("trials", "best", "gain", "GFLOP/s", "campaign", "trial")
        grid = Grid("recorded", *right, right=right)
        for point in points:
            grid.add(
                when(point.recorded_at),
                amount(point.trials),
                latency(point.cost_s),
                gain_text(point.before_s, point.cost_s),
                speed_text(flops, point.cost_s),
                _campaign(point),
                str(point.trial_id),
            )
        return grid.table()
    numbers = ("trials", "tasks", "a run", "gain", "campaign")
    grid = Grid("recorded", *numbers, "task", right=numbers, flexible=("task",))
    # What --limit leaves out is known, but for what its last task takes longer or less inside the model.
    before_s = points[0].expected_s + _saved(points[0])
    for point in points:
        first = point.before_s is None
        grid.add(
            when(point.recorded_at),
            amount(point.trials),
            f"{point.tasks_timed}/{total}",
            latency(point.expected_s),
            "first" if first else gain_text(before_s, point.expected_s),
            _campaign(point),
            point.name,
            # A sum of some of the tasks is no time of the model.
            style="" if point.tasks_timed == total else "dim",
        )
        before_s = point.expected_s
    return grid.table()


def _line(points: Sequence[ImprovementRow], total: int, name: str, device_class: str) -> RenderableType:
    """Say what it came to, from the first moment at which all tasks had a time."""
    whole = [point for point in points if point.tasks_timed == total]
    line = Text(f"\n{name} on {device_text(device_class)}: ", style="bold")
    if not whole:
        last = points[-1]
        return line.append(f"{last.tasks_timed} of {plural(total, 'task')} have a time")
    begin, end = whole[0], whole[-1]
    line.append(f"{latency(begin.expected_s)} after {plural(begin.trials, 'trial')}")
    if end is not begin:
        line.append(f", {latency(end.expected_s)} after {amount(end.trials)}")
        line.append(f" ({ratio_text(begin.expected_s, end.expected_s)})")
    return line


def _saved(point: ImprovementRow) -> float:
    return 0.0 if point.before_s is None else point.weight * (point.before_s - point.cost_s)


def _campaign(point: ImprovementRow) -> str:
    return "-" if point.campaign_id is None else str(point.campaign_id)
