"""``records export``: what is stored, as JSON Lines or as the log of an engine's own tools."""

from __future__ import annotations

import getpass
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.aim import Aim
from orchestrator.cli.kit.arguments import model_request, require_engine, require_one
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import plural, short_path
from orchestrator.cli.records.options import DeviceClass, OwnEngine
from orchestrator.documents.exported import REPORT_HEADER, export_document
from orchestrator.errors import UsageError
from orchestrator.files import writable, writing

if TYPE_CHECKING:
    from orchestrator.records.keys import PrivateKey
    from orchestrator.records.log_export import ExportReport

__all__ = ["export"]

# What a header takes.
_LONGEST_NAME = 200
_Format = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="auto|jsonl|engine",
        help="'jsonl' keeps all that is known, of all devices; 'engine' is what the engine's own tools read. "
        "'auto' goes by the file's name: jsonl for *.jsonl and *.jsonl.gz.",
    ),
]


@command(
    "export",
    document="records-export",
    examples=(
        "records export -o records.jsonl.gz",
        "records export -o records.jsonl.gz --sign lab.key",
        "records export model.onnx -o model.log --engine NAME --best",
        "records export model.onnx -o database --engine metaschedule",
        "records export --workload 3f0a91 -o conv.log --engine NAME",
    ),
    place=Place.ANYWHERE,
)
def export(
    session: Session,
    conversion: ConversionOptions,
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
    engine: OwnEngine = None,
    format_: _Format = "auto",
    model: options.MaybeModel = None,
    workload: options.Workload = None,
    best: Annotated[
        bool, typer.Option("--best", help="Only the fastest trial of each task (not in jsonl).")
    ] = False,
    input_shape: options.InputShapes = None,
    target: options.Target = "auto",
    device: DeviceClass = None,
    sign: Annotated[
        Path | None,
        typer.Option(
            "--sign",
            metavar="KEY",
            help="Sign the file with this private key (Ed25519, PEM; JSON Lines only).",
            show_default=False,
        ),
    ] = None,
    signer: Annotated[
        str | None,
        typer.Option(
            "--signer",
            metavar="NAME",
            help="What you call yourself in a signed file; left out, your account and this machine.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write stored trials to a file, failures too.

    As JSON Lines: all of them, or those of a model, a workload, an engine, a device class. As an engine's own
    tools read them: those of all tasks of a model, or of one workload, on the target's device.
    """
    session.leave_stdout_to(output)
    as_jsonl = _as_jsonl(format_, output)
    if session.address is not None:
        session.refuse_served(
            model=model, best=best, sign=sign, signer=signer, input_shape=input_shape, target=target != "auto"
        )
        if not as_jsonl or not output.name.endswith(".jsonl.gz"):
            raise UsageError(
                f"a service sends packed JSON Lines: name a file that ends in .jsonl.gz, not {output}"
            )
        _export_served(session, output, engine, device, workload)
        return
    key = _signing_key(session, sign, signer, as_jsonl)
    if as_jsonl:
        if best:
            raise UsageError("--best is for an engine's own format: JSON Lines keep all trials")
        if target != "auto" and model is None:
            raise UsageError("--target is for a model; name a device class with --device")
        hashes = _hashes(session, engine, model, workload, input_shape, target, conversion)
        _export_jsonl(
            session, output, key, signer or _own_name(), engine=engine, device_class=device, workloads=hashes
        )
        return
    if engine is None:
        raise UsageError("name the --engine whose format it is to be, or a file that ends in .jsonl")
    if device is not None:
        raise UsageError("--device is for JSON Lines; an engine's own format is of the --target's device")
    require_one(model, workload)
    if workload is not None and input_shape:
        raise UsageError("--input-shape is for a model, and --workload names none")
    require_engine(engine)
    from orchestrator.records.log_export import export_log

    aim = Aim.of(engine, [target])
    request = None if model is None else model_request(session, model, input_shape, conversion, aim)
    with (
        session.storage(create=request is not None) as store,
        session.toolbox(engine) as tools,
        session.steps() as steps,
    ):
        report = export_log(
            store, tools, output, request=request, workload=workload, target=target, best=best, say=steps
        )
    session.emit(_document(report))
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


def _document(report: ExportReport) -> dict[str, Any]:
    """A log that was written."""
    return {
        "file": str(report.path),
        "target": report.target,
        "device_class": report.device_class,
        "trials": report.trials,
        "trials_failed": report.failed,
        "workloads": report.workloads,
        "tasks_missing": list(report.missing),
        "left_out": list(report.left_out),
    }


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
    conversion: ConversionOptions,
) -> list[str] | None:
    """Return the workloads whose records are wanted; None for all."""
    from orchestrator.models.lookup import find_model

    if model is None and workload is None:
        return None
    require_one(model, workload)
    if workload is not None:
        with session.storage(create=False) as store:
            return [store.workloads.resolve(workload).hash]
    assert model is not None
    engine = engine or options.DEFAULT_ENGINE
    require_engine(engine)
    request = model_request(session, model, shapes, conversion, Aim.of(engine, [target]))
    with session.storage() as store, session.toolbox(engine) as tools, session.steps() as steps:
        steps("looking for the target")
        device, version = tools.resolve_target(target), tools.engine_version()
        found = find_model(store, tools, request, device, version=version, say=steps)
        rows = store.trials.best_for_model(found.id, found.device_class, found.engine_version)
    return [row.workload_hash for row in rows]


def _signing_key(
    session: Session, sign: Path | None, signer: str | None, as_jsonl: bool
) -> PrivateKey | None:
    """Read the key that a file is signed with; None where it isn't to be signed."""
    if sign is None:
        if signer is not None:
            raise UsageError("--signer is for a file that is signed: name the key with --sign")
        return None
    if not as_jsonl:
        raise UsageError("--sign is for JSON Lines: an engine's own format has no place for a signature")
    if signer is not None and len(signer) > _LONGEST_NAME:
        raise UsageError(f"--signer takes {_LONGEST_NAME} characters at most")
    from orchestrator.records.keys import read_private

    key = read_private(sign)
    if key.readable_by_others:
        session.say(f"others can read {sign}, and sign as you: chmod 600 {sign}", style="yellow")
    return key


def _own_name() -> str:
    return f"{getpass.getuser()}@{platform.node()}"[:_LONGEST_NAME]


def _export_jsonl(
    session: Session,
    output: Path,
    key: PrivateKey | None,
    signer: str,
    *,
    engine: str | None,
    device_class: str | None,
    workloads: list[str] | None,
) -> None:
    """Write records with all that is known of them, on all devices or one."""
    from orchestrator.records.jsonl_write import export_records

    with session.storage(create=False) as store, session.steps() as steps:
        report = export_records(
            store,
            output,
            engine=engine,
            device_class=device_class,
            workloads=workloads,
            sign=key,
            signer=signer,
            say=steps,
        )
    signed_by = None if key is None else {"key": key.public.name, "name": signer}
    _say_exported(session, export_document(str(report.path), report, signed_by))


def _export_served(
    session: Session, output: Path, engine: str | None, device: str | None, workload: str | None
) -> None:
    """Write the records of a service."""
    path = writable(output)
    server = session.server()
    assert server is not None
    with server, session.steps() as steps, writing(path) as file:
        steps(f"waiting for the records of {server.url}")
        came = server.download("records", engine=engine, device=device, workload=workload, into=file)
    document = json.loads(came.headers[REPORT_HEADER.lower()])
    _say_exported(session, {**document, "file": str(path)})


def _say_exported(session: Session, document: dict[str, Any]) -> None:
    session.emit(document, kind="records-export-jsonl")
    failed = f", {document['trials_failed']:,} of them failed" if document["trials_failed"] else ""
    by = document["signed_by"]
    session.write(
        Text(
            f"wrote {plural(document['trials'], 'trial')} of {plural(document['workloads'], 'workload')} on "
            f"{plural(len(document['device_classes']), 'device class')}{failed}"
        ),
        *([] if by is None else [Text(f"signed by {by['key']}, {by['name']}")]),
        Text(f"wrote {short_path(document['file'])}"),
    )
