"""``build``: a library from the best records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.kit import options
from orchestrator.cli.kit.aim import Aim
from orchestrator.cli.kit.arguments import boards_of, model_request, require_engine, weighs_layouts
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.exits import FAILED
from orchestrator.cli.kit.gate_option import held_table
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.stale import Stale, revalidate_model, uses_stale
from orchestrator.cli.kit.stored import tune_command
from orchestrator.cli.kit.text import short_path
from orchestrator.cli.models.build_served import build_served
from orchestrator.cli.models.built import say_files, show_built
from orchestrator.cli.models.coverage import coverage_documents
from orchestrator.cli.models.latencies import wrong_documents
from orchestrator.documents.gate import held_document
from orchestrator.documents.origins import origin_document
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.builds import BuildReport

__all__ = ["build"]


_ForBoard = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="KEY",
        help="For what a campaign tuned with --device KEY, and --target as there.",
        show_default=False,
    ),
]


@command(
    "build",
    panel=options.PANELS.MODELS,
    examples=(
        "build model.onnx -o model.so",
        "build model.onnx -o model.so --params model.npz --require-complete",
        "build model.onnx -o model.so --only-if-faster",
    ),
    place=Place.ANYWHERE,
)
def build(
    session: Session,
    model: options.Model,
    conversion: ConversionOptions,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE", help="The shared library to write.", show_default=False
        ),
    ],
    params: Annotated[
        Path | None,
        typer.Option(
            "--params",
            metavar="FILE",
            help="Write the weights there (.npz), not into the library.",
            show_default=False,
        ),
    ] = None,
    require_complete: Annotated[
        bool, typer.Option("--require-complete", help="Fail where a task has no record, and list those.")
    ] = False,
    unchecked: Annotated[
        bool,
        typer.Option("--unchecked", help="Don't run it to compare its outputs with onnxruntime's."),
    ] = False,
    only_if_faster: Annotated[
        bool,
        typer.Option(
            "--only-if-faster",
            help="Time it in turns with the library that FILE is already, and leave that where it isn't the "
            "slower one: then the exit code is 1.",
        ),
    ] = False,
    input_shape: options.InputShapes = None,
    target: options.Target = "auto",
    engine: options.Engine = options.DEFAULT_ENGINE,
    layout: options.TunedLayout = None,
    layout_tuning: options.LayoutTuning = "auto",
    allow_device: options.AllowDevice = None,
    device: _ForBoard = None,
    stale: Stale = "use",
) -> int:
    """Build a library from the best that is stored.

    It runs with the TVM runtime and numpy alone. Before it is written its outputs are compared with
    onnxruntime's. Tasks without a record have a schedule that was good for
    another kernel, where there is one; the table says which, how old each
    record is, and what its task takes of one run.

    With --server, it is built and compared there, for the --device class that is named or the one with most
    results, and comes here.
    """
    if session.address is not None:
        refused = {
            "params": params,
            "unchecked": unchecked,
            "only_if_faster": only_if_faster,
            "target": target != "auto",
            "engine": engine != options.DEFAULT_ENGINE,
            "layout": layout,
            "layout_tuning": layout_tuning != "auto",
            "allow_device": allow_device,
            "stale": stale != "use",
        }
        session.refuse_served(**refused)
        build_served(session, model, output, conversion, input_shape, device, require_complete)
        return 0
    from orchestrator.builds import build_model

    takes_stale = uses_stale(stale)
    session.leave_stdout_to(output)
    require_engine(engine)
    if device is not None:
        boards_of([device], [target])
        if only_if_faster:
            raise UsageError(
                "--only-if-faster times on this machine, and --device is for another; "
                "`tunefleet bench --device` compares there"
            )
    request = model_request(session, model, input_shape, conversion, Aim.of(engine, [target], timed=True))
    with session.storage() as store, session.toolbox(engine) as tools, session.steps() as steps:
        if stale == "revalidate":
            revalidate_model(
                session, store, tools, request, target=target, layout=layout, board=device, say=steps
            )
        report = build_model(
            store,
            tools,
            request,
            output,
            target=target,
            params=params,
            require_complete=require_complete,
            layout=layout,
            weigh_layouts=weighs_layouts(layout_tuning),
            allowed=allow_device or (),
            stale=takes_stale,
            board=device,
            unchecked=unchecked,
            only_if_faster=only_if_faster,
            say=steps,
        )
    document = _document(report)
    session.emit(document)
    show_built(session, document, str(model))
    if document["gate"] is not None:
        session.show("", held_table([(report.model, document["gate"])]))
    if not report.written:
        session.error(
            f"{short_path(str(report.library))} was left as it is: the new library is no faster beyond chance"
        )
        return FAILED
    if only_if_faster and report.held is None:
        session.say("there was no library to be faster than", style="yellow")
    files = tuple(filter(None, (report.library, report.rest, report.params)))
    tune = tune_command(session, model, input_shape, conversion, target, engine, device)
    say_files(session, document, files, tune)
    return 0


def _document(report: BuildReport) -> dict[str, Any]:
    """A library that was built."""
    return {
        "model": report.model,
        "library": str(report.library),
        "params": None if report.params is None else str(report.params),
        "rest": None
        if report.rest is None or report.rest_times is None
        else {
            "path": str(report.rest),
            "reference_s": report.rest_times.rest_s,
            "before_reference_s": report.rest_times.before_s,
        },
        "target": report.target,
        "device_class": report.device_class,
        "origin": origin_document(report.origin),
        "changes": list(report.changes),
        "tasks_total": len(report.coverage.tasks),
        "tasks_tuned": report.coverage.tuned,
        "tasks_stale": report.coverage.stale,
        "expected_s": report.coverage.expected_s,
        "plan": report.plan,
        "why": report.why,
        "plans_s": report.plans_s,
        "wrong_records": wrong_documents(report.wrong),
        "written": report.written,
        "gate": held_document(report.held),
        "tasks": coverage_documents(report.coverage),
    }
