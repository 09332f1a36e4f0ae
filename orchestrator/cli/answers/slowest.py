"""``slowest``: tasks by their share of a model's run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.arguments import require_known
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.served import served_model
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.stale import say_stale
from orchestrator.cli.kit.stored import stored_model, tune_command
from orchestrator.cli.kit.text import amount, device_text, latency, plural
from orchestrator.documents.ratios import percent_text, speed_text
from orchestrator.documents.slowest import slowest_document
from orchestrator.errors import NotFoundError

if TYPE_CHECKING:
    from orchestrator.storage import ModelShares

__all__ = ["slowest"]

# More tasks than a model has.
_SERVED_AT_ONCE = 10_000


@command(
    "slowest",
    panel=options.PANELS.MODELS,
    examples=("slowest model.onnx", "slowest model.onnx --top 3 --json"),
    place=Place.ANYWHERE,
)
def slowest(
    session: Session,
    model: options.Model,
    conversion: ConversionOptions,
    device: options.Device = None,
    engine: options.StoredEngine = None,
    input_shape: options.InputShapes = None,
    top: Annotated[int, typer.Option("--top", min=0, metavar="N", help="The N slowest; 0 for all.")] = 10,
) -> None:
    """Show where a model's time goes: its slowest tasks, by the best that is stored.

    a run is what all calls of a task take in one: by its best trial, and by what a campaign saw them take
    inside the model. share is its part of what all add up to, sum that of it and all above it.
    """
    if (server := session.server()) is not None:
        from orchestrator.remote.rows.answers import shares_of

        session.refuse_served(engine=engine)
        with server:
            model_id = served_model(session, server, model, input_shape, conversion).id
            most = min(top or _SERVED_AT_ONCE, _SERVED_AT_ONCE)
            document = server.get("slowest", "models", model_id, "slowest", device=device, top=most)
        name, device_class, shares = document["model"], document["device_class"], shares_of(document)
        tune = tune_command(session, model, input_shape, conversion)
    else:
        require_known(engine)
        with session.storage(create=False) as store:
            found = stored_model(session, store, model, input_shape, device, engine, conversion)
            name, device_class = found.name, found.device_class
            shares = store.answers.slowest(found.id, device_class, found.engine_version, limit=top or None)
        tune = tune_command(session, model, input_shape, conversion, engine=found.engine)
    if not shares.tasks_timed:
        raise NotFoundError(f"no task of {name} has a time on {device_class}; `{tune}` finds some")
    session.emit(slowest_document(name, device_class, shares))
    session.show(_table(shares), _line(name, device_class, shares))
    say_stale(session, shares.tasks_stale, shares.tasks_timed, str(model))
    untimed = shares.tasks_total - shares.tasks_timed
    if untimed:
        session.say(
            f"{untimed} of {shares.tasks_total} tasks have no time and no share; to tune them:\n  {tune}",
            style="yellow",
        )


def _table(shares: ModelShares) -> Table:
    """A model's tasks, those first on which most of its time rests."""
    right = ("calls", "a run", "share", "sum", "GFLOP/s", "trials")
    grid = Grid("task", *right, "workload", right=right, flexible=("task",))
    for task in shares.tasks:
        grid.add(
            task.name,
            str(task.weight),
            latency(task.expected_s) + (" stale" if task.stale else ""),
            percent_text(task.share),
            percent_text(task.cumulative),
            speed_text(task.flops, task.best_s),
            amount(task.trials),
            task.workload_hash[:12],
            style="" if task.best_s is not None else "dim",
        )
    return grid.table()


def _line(name: str, device_class: str, shares: ModelShares) -> RenderableType:
    """Say what all tasks add up to, and how much of it is shown."""
    timed = [task for task in shares.tasks if task.cumulative is not None]
    line = Text(f"\n{name} on {device_text(device_class)}: ", style="bold")
    line.append(f"{plural(shares.tasks_timed, 'task')}, {latency(shares.expected_s)} a run")
    if timed and len(timed) < shares.tasks_timed:
        line.append(f"; these {len(timed)} are {percent_text(timed[-1].cumulative)} of it")
    return line
