"""Commands about records: import and export; the others of the group are in ``_store``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from orchestrator.cli import _options as options
from orchestrator.cli._command import command
from orchestrator.cli._requests import model_request, require_engine
from orchestrator.cli._session import Session
from orchestrator.cli._store import DeviceClass, add_commands, export_jsonl, import_jsonl
from orchestrator.errors import UsageError

__all__ = ["register"]

_SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave lines out that can't be imported, instead of refusing all.")
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the lines, and store nothing.")]
_OwnEngine = Annotated[
    str | None,
    typer.Option("--engine", metavar="NAME", help="The engine whose own format it is.", show_default=False),
]
_Format = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="auto|jsonl|engine",
        help="'jsonl' keeps all that is known, of all devices; 'engine' is what the engine's own tools read. "
        "'auto' goes by the file's name: jsonl for *.jsonl and *.jsonl.gz.",
    ),
]
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
        help="Exchange, merge, prune and count the records of a store.",
    )
    command(
        group,
        "import",
        document="records-import",
        examples=(
            "records import records.jsonl",
            "records import tuning.log --engine NAME",
            "records import work_dir --engine metaschedule --model model.onnx",
            "records import tuning.log --engine NAME --skip-bad --dry-run",
        ),
    )(import_)
    command(
        group,
        "export",
        document="records-export",
        examples=(
            "records export -o records.jsonl.gz",
            "records export model.onnx -o model.log --engine NAME --best",
            "records export model.onnx -o database --engine metaschedule",
            "records export --workload 3f0a91 -o conv.log --engine NAME",
        ),
    )(export)
    add_commands(group)
    app.add_typer(group, name="records", rich_help_panel=options.PANELS.MODELS)


def import_(
    session: Session,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="JSON Lines of `export`, or what an engine wrote: a file or a folder.",
            show_default=False,
        ),
    ],
    engine: _OwnEngine = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="MODEL.onnx",
            help="The model that was tuned, where the log doesn't say which arguments are weights.",
            show_default=False,
        ),
    ] = None,
    input_shape: options.InputShapes = None,
    target: _Target = "auto",
    skip_bad: _SkipBad = False,
    dry_run: _DryRun = False,
) -> None:
    """Store what was measured elsewhere: it counts like any trial.

    A file of `records export` names its devices; what an engine's own tools wrote does not, so name the
    engine and the target. All lines are checked first; where one can't be imported, none is. What is stored
    already changes nothing, so the same file may be imported again.
    """
    from orchestrator.cli._documents import import_document
    from orchestrator.cli._text import plural
    from orchestrator.exchange import import_log
    from orchestrator.fleet import Toolbox
    from orchestrator.jsonl import is_records

    if is_records(file):
        if engine is not None or target != "auto" or model is not None:
            raise UsageError(
                f"{file.name} names its engine and devices itself: leave --engine, --target and --model out"
            )
        import_jsonl(session, file, skip_bad, dry_run)
        return
    if engine is None:
        raise UsageError(
            f"{file} is no file of `records export`; if an engine's tools wrote it, name --engine"
        )
    if model is None and input_shape:
        raise UsageError("--input-shape is for a --model, and none is named")
    require_engine(engine)
    request = None if model is None else model_request(model, input_shape)
    with session.storage() as store, Toolbox(engine) as tools, session.steps() as steps:
        report = import_log(
            store,
            tools,
            file,
            target=target,
            request=request,
            skip_bad=skip_bad,
            dry_run=dry_run,
            say=steps,
        )
    session.emit({**import_document(report), "database": session.database})
    for bad in report.bad:
        session.say(f"left out {bad.where}: {bad.reason}", style="yellow")
    for note, count in report.notes.items():
        session.say(f"{plural(count, 'line')}: {note}", style="yellow")
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
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The log to write; a folder, where the engine's tools read one.",
            show_default=False,
        ),
    ],
    engine: _OwnEngine = None,
    format_: _Format = "auto",
    model: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL.onnx", help="An ONNX file, or --workload.", show_default=False),
    ] = None,
    workload: options.Workload = None,
    best: Annotated[
        bool, typer.Option("--best", help="Only the fastest trial of each task (not in jsonl).")
    ] = False,
    input_shape: options.InputShapes = None,
    target: options.Target = "auto",
    device: DeviceClass = None,
) -> None:
    """Write stored trials to a file, failures too.

    As JSON Lines: all of them, or those of a model, a workload, an engine, a device class. As an engine's own
    tools read them: those of all tasks of a model, or of one workload, on the target's device.
    """
    from orchestrator.cli._documents import export_document
    from orchestrator.cli._text import plural, short_path
    from orchestrator.exchange import export_log
    from orchestrator.fleet import Toolbox

    if _as_jsonl(format_, output):
        if best:
            raise UsageError("--best is for an engine's own format: JSON Lines keep all trials")
        if target != "auto" and model is None:
            raise UsageError("--target is for a model; name a device class with --device")
        hashes = _hashes(session, engine, model, workload, input_shape, target)
        export_jsonl(session, output, engine=engine, device_class=device, workloads=hashes)
        return
    if engine is None:
        raise UsageError("name the --engine whose format it is to be, or a file that ends in .jsonl")
    if device is not None:
        raise UsageError("--device is for JSON Lines; an engine's own format is of the --target's device")
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
    for reason in report.left_out:
        session.say(f"left out {reason}", style="yellow")
    if report.missing:
        session.say(f"nothing is stored of {', '.join(report.missing)}", style="yellow")


def _as_jsonl(format_: str, output: Path) -> bool:
    if format_ not in ("auto", "jsonl", "engine"):
        raise UsageError(f"--format is auto, jsonl or engine, not {format_!r}")
    return format_ == "jsonl" or (format_ == "auto" and output.name.endswith((".jsonl", ".jsonl.gz")))


def _hashes(
    session: Session,
    engine: str | None,
    model: Path | None,
    workload: str | None,
    shapes: list[str] | None,
    target: str,
) -> list[str] | None:
    """Return the workloads whose records are wanted; None for all."""
    from orchestrator.campaigns.extraction import extract_model
    from orchestrator.fleet import Toolbox

    if model is None and workload is None:
        return None
    if model is not None and workload is not None:
        raise UsageError("name a MODEL.onnx or a --workload, one of them")
    if workload is not None:
        with session.storage(create=False) as store:
            return [store.find_workload(workload).hash]
    assert model is not None
    engine = engine or "metaschedule"
    require_engine(engine)
    with session.storage() as store, Toolbox(engine) as tools, session.steps() as steps:
        steps("looking for the target")
        device = tools.resolve_target(target)
        extracted = extract_model(store, tools, model_request(model, shapes), device, say=steps)
    return [task.workload.hash for task in extracted.tasks]


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
