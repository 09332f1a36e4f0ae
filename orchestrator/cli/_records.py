"""Commands about records of other programs: records import, records export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from orchestrator.cli import _options as options
from orchestrator.cli._command import command
from orchestrator.cli._requests import model_request, require_engine
from orchestrator.cli._session import Session
from orchestrator.errors import UsageError

__all__ = ["register"]

_SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave lines out that can't be imported, instead of refusing all.")
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the lines, and store nothing.")]
_Target = Annotated[
    str,
    typer.Option(
        "--target",
        metavar="TARGET",
        help="What it was measured on, since a log doesn't say: 'auto' for this machine's CPU, or a TVM "
        "target.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the group and its commands."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode="rich",
        help="Exchange trials with an engine's own tools, in their format.",
    )
    command(
        group,
        "import",
        document="records-import",
        examples=(
            "records import tuning.log --engine NAME",
            "records import tuning.log --engine NAME --skip-bad --dry-run",
        ),
    )(import_)
    command(
        group,
        "export",
        document="records-export",
        examples=(
            "records export model.onnx -o model.log --engine NAME --best",
            "records export --workload 3f0a91 -o conv.log --engine NAME",
        ),
    )(export)
    app.add_typer(group, name="records", rich_help_panel=options.PANELS.MODELS)


def import_(
    session: Session,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A log in the engine's own format.", show_default=False)
    ],
    engine: options.Engine,
    target: _Target = "auto",
    skip_bad: _SkipBad = False,
    dry_run: _DryRun = False,
) -> None:
    """Store what an engine's own tools have measured: it counts like any trial.

    All lines are checked first; where one can't be imported, none is. What is stored already changes
    nothing, so the same file may be imported again.
    """
    from orchestrator.cli._documents import import_document
    from orchestrator.cli._text import plural
    from orchestrator.exchange import import_log
    from orchestrator.fleet import Toolbox

    require_engine(engine)
    with session.storage() as store, Toolbox(engine) as tools, session.steps() as steps:
        report = import_log(store, tools, file, target=target, skip_bad=skip_bad, dry_run=dry_run, say=steps)
    session.emit({**import_document(report), "database": session.database})
    for bad in report.bad:
        session.say(f"left out line {bad.number}: {bad.reason}", style="yellow")
    under = f"under {report.device_class}"
    before = f"{plural(report.stored_before, 'trial')} of it {_were(report.stored_before)} stored before"
    if len(report.bad) == report.lines:
        session.write(Text(f"no line of {file.name} can be imported {under}"))
    elif not report.imported:
        session.write(Text(f"nothing of {file.name} is new {under}: {before}"))
    else:
        what = f"{plural(report.imported, 'trial')} of {plural(report.workloads, 'workload')} {under}"
        failed = f", {report.failed} of them failed" if report.failed else ""
        verb = "would import" if dry_run else "imported"
        session.write(Text(f"{verb} {what}{failed}"))
        if report.stored_before:
            session.write(Text(before))
    if report.repeated:
        session.write(Text(f"{plural(report.repeated, 'line')} repeated a candidate of another line"))
    if report.targets:
        session.write(Text(f"the log says it was measured for {' and '.join(report.targets)}"))


def export(
    session: Session,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The log to write.", show_default=False)
    ],
    engine: options.Engine,
    model: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL.onnx", help="An ONNX file, or --workload.", show_default=False),
    ] = None,
    workload: Annotated[
        str | None,
        typer.Option(
            "--workload",
            metavar="HASH",
            help="A workload by the first digits of its hash.",
            show_default=False,
        ),
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="Only the fastest trial of each task.")] = False,
    input_shape: options.InputShapes = None,
    target: options.Target = "auto",
) -> None:
    """Write stored trials as a log that an engine's own tools read.

    Those of all tasks of a model, or of one workload, failures too, on the target's device.
    """
    from orchestrator.cli._documents import export_document
    from orchestrator.cli._text import plural, short_path
    from orchestrator.exchange import export_log
    from orchestrator.fleet import Toolbox

    if (model is None) == (workload is None):
        raise UsageError("name a MODEL.onnx or a --workload, one of them")
    if workload is not None and input_shape:
        raise UsageError("--input-shape is for a model, and --workload names none")
    require_engine(engine)
    request = None if model is None else model_request(model, input_shape)
    with (
        session.storage(create=request is not None) as store,
        Toolbox(engine) as tools,
        session.steps() as steps,
    ):
        report = export_log(
            store, tools, output, request=request, workload=workload, target=target, best=best, say=steps
        )
    session.emit(export_document(report))
    failed = f", {report.failed} of them failed" if report.failed else ""
    what = f"{plural(report.trials, 'trial')} of {plural(report.workloads, 'workload')}"
    session.write(
        Text(f"wrote {what} on {report.device_class}{failed}"),
        Text(f"wrote {short_path(str(report.path))}"),
    )
    if report.missing:
        session.say(f"nothing is stored of {', '.join(report.missing)}", style="yellow")


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
