"""``records import``: JSON Lines, or the log of an engine's own tools, into the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.aim import Aim
from orchestrator.cli.kit.arguments import model_request, require_engine
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import plural
from orchestrator.cli.records.imported import say_imported
from orchestrator.cli.records.options import OwnEngine
from orchestrator.documents.imported import imported_document
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.models.request import ModelRequest
    from orchestrator.records.log_import import ImportReport
    from orchestrator.records.reports import Imported

__all__ = ["import_"]


@dataclass(frozen=True)
class _Conversion(ConversionOptions):
    """The same as elsewhere; but here `--trust` is about the file of records."""

    trust: Annotated[
        bool,
        typer.Option(
            "--trust-model",
            help="Run the code that a --model of a framework consists of, as --trust does elsewhere.",
            rich_help_panel="A framework's model",
        ),
    ] = False


_SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave lines out that can't be imported, instead of refusing all.")
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


@command(
    "import",
    document="records-import",
    examples=(
        "records import records.jsonl",
        "records import records.jsonl.gz --trust lab.key.pub",
        "records import tuning.log --engine NAME",
        "records import work_dir --engine metaschedule --model model.onnx",
        "records import tuning.log --engine NAME --skip-bad --dry-run",
    ),
    place=Place.ANYWHERE,
)
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
    conversion: _Conversion,
    engine: OwnEngine = None,
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the lines, and store nothing.")] = False,
    trusted: Annotated[
        list[Path] | None,
        typer.Option(
            "--trust",
            metavar="PUBKEY",
            help="Take the file only if this key has signed it (Ed25519, PEM), and it was not changed since. "
            "Repeat it for several keys.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Store what was measured elsewhere: it counts like any trial.

    A file of `records export` names its devices; what an engine's own tools wrote does not, so name the
    engine and the target. All lines are checked first; where one can't be imported, none is. What is stored
    already changes nothing, so the same file may be imported again.
    """
    from orchestrator.records.jsonl_read import is_records

    if session.address is not None:
        session.refuse_served(
            engine=engine, model=model, input_shape=input_shape, target=target != "auto", trust=trusted
        )
        if not is_records(file):
            raise UsageError(f"{file} is no file of `records export`, and a service takes no other")
        _import_served(session, file, skip_bad, dry_run)
        return
    if is_records(file):
        if engine is not None or target != "auto" or model is not None:
            raise UsageError(
                f"{file.name} names its engine and devices itself: leave --engine, --target and --model out"
            )
        _import_jsonl(session, file, skip_bad, dry_run, trusted or ())
        return
    if trusted:
        raise UsageError(f"--trust is for a signed file of `records export`, and {file} is none")
    if engine is None:
        raise UsageError(
            f"{file} is no file of `records export`; if an engine's tools wrote it, name --engine"
        )
    if model is None and input_shape:
        raise UsageError("--input-shape is for a --model, and none is named")
    from orchestrator.records.log_import import import_log

    require_engine(engine)
    aim = Aim.of(engine, [target])
    request = None if model is None else _request(session, model, input_shape, conversion, aim)
    with session.storage() as store, session.toolbox(engine) as tools, session.steps() as steps:
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
    session.emit({**_document(report), "database": session.database})
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


def _document(report: ImportReport) -> dict[str, Any]:
    """What became of the lines of a log."""
    return {
        "file": str(report.path),
        "device_class": report.device_class,
        "targets": list(report.targets),
        "dry_run": report.dry_run,
        "lines": report.lines,
        "lines_bad": [
            {"file": bad.file or None, "line": bad.number, "reason": bad.reason} for bad in report.bad
        ],
        "notes": [{"lines": count, "note": note} for note, count in report.notes.items()],
        "lines_repeated": report.repeated,
        "trials_imported": report.imported,
        "trials_failed": report.failed,
        "trials_stored_before": report.stored_before,
        "workloads": report.workloads,
    }


def _request(
    session: Session, model: Path, shapes: list[str] | None, conversion: ConversionOptions, aim: Aim
) -> ModelRequest:
    try:
        return model_request(session, model, shapes, conversion, aim)
    except UsageError as error:
        # Everywhere else the option has this name.
        raise type(error)(str(error).replace("add --trust ", "add --trust-model ")) from None


def _import_jsonl(
    session: Session, file: Path, skip_bad: bool, dry_run: bool, trusted: Sequence[Path]
) -> None:
    """Store the records of a file that ``records export`` wrote."""
    from orchestrator.records.jsonl_read import import_records
    from orchestrator.records.keys import read_public

    trust = [read_public(path) for path in trusted]
    with session.storage() as store, session.steps() as steps:
        report = import_records(store, file, skip_bad=skip_bad, dry_run=dry_run, trust=trust, say=steps)
    _say_stored(session, report)


def _import_served(session: Session, file: Path, skip_bad: bool, dry_run: bool) -> None:
    """Have a service store the records of a file; its store takes them from an administrator alone."""
    from orchestrator.remote.rows.records import imported_of
    from orchestrator.remote.uploads import chunks

    server = session.server()
    assert server is not None
    with server, session.steps() as steps:
        document = server.post(
            *("records-import-jsonl", "records"),
            content=chunks(file, steps),
            size=file.stat().st_size,
            skip_bad=skip_bad,
            dry_run=dry_run,
        )
    _say_stored(session, imported_of(document, file.name))


def _say_stored(session: Session, report: Imported) -> None:
    session.emit({**imported_document(report), "database": session.database}, kind="records-import-jsonl")
    for bad in report.bad:
        session.say(f"left out line {bad.number}: {bad.reason}", style="yellow")
    say_imported(session, report)


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
