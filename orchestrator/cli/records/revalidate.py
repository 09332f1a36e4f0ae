"""``records revalidate``: measure the best of another toolchain with the one that is here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.aim import Aim
from orchestrator.cli.kit.arguments import boards_of, model_request, require_engine
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.stale import outcome_lines, revalidated_model

if TYPE_CHECKING:
    from orchestrator.records.revalidate import Revalidated

__all__ = ["revalidate_records"]


@command(
    "revalidate",
    document="records-revalidate",
    examples=("records revalidate", "records revalidate model.onnx --top 5"),
)
def revalidate_records(
    session: Session,
    conversion: ConversionOptions,
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="MODEL",
            help="Only the records of this model's tasks; left out, of all workloads.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", min=1, metavar="N", help="The N fastest of each workload.")
    ] = 3,
    input_shape: options.InputShapes = None,
    target: options.Target = "auto",
    device: options.Board = None,
    tracker: options.Tracker = None,
    engine: options.Engine = options.DEFAULT_ENGINE,
) -> None:
    """Measure the fastest records of another toolchain with the one that is here.

    After an upgrade of TVM, LLVM or a GPU's driver the stored times are of the one before: stale. A few of
    each workload are measured anew, which takes a fraction of tuning anew, and the fastest of them is the
    best from then on.
    """
    from orchestrator.devices.address import tracker_address
    from orchestrator.records.revalidate import revalidate

    require_engine(engine)
    if device is not None:
        boards_of([device], [target])
    address = None if device is None else tracker_address(tracker)
    with (
        session.storage(create=model is not None) as store,
        session.toolbox(engine) as tools,
        session.steps() as steps,
    ):
        if model is None:
            outcome = revalidate(
                store, tools, most=top, target=target, key=device, tracker=address, say=steps
            )
        else:
            request = model_request(session, model, input_shape, conversion, Aim.of(engine, [target]))
            outcome = revalidated_model(
                store, tools, request, most=top, target=target, key=device, tracker=address, say=steps
            )
    session.emit(_document(outcome, session.database))
    session.write(*map(Text, outcome_lines(outcome)))


def _document(outcome: Revalidated, database: str) -> dict[str, Any]:
    return {
        "device_class": outcome.device_class,
        "toolchain": outcome.versions,
        "workloads": outcome.workloads,
        "trials_measured": outcome.measured,
        "trials_failed": outcome.failed,
        "trials_rechecked": outcome.rechecked,
        "trials_timed_out": outcome.timed_out,
        "trials_waiting": outcome.waiting,
        "drift": outcome.drift,
        "drift_unchecked": outcome.unchecked or None,
        "best_changed": outcome.changed,
        "best_stale": outcome.left,
        "database": database,
    }
