"""Commands about all records of a store: as JSON Lines, merged, pruned, counted."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from orchestrator.cli._command import command
from orchestrator.cli._session import Session
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.jsonl import Imported

__all__ = ["add_commands", "export_jsonl", "import_jsonl"]

_EngineName = Annotated[
    str | None, typer.Option("--engine", metavar="NAME", help="Only its records.", show_default=False)
]
DeviceClass = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="CLASS",
        help="Only what was measured on this device class; `records stats` lists them.",
        show_default=False,
    ),
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
_DAYS = {"d": 1, "w": 7}


def add_commands(group: typer.Typer) -> None:
    """Add the commands to the group of those about records."""
    command(
        group,
        "merge",
        document="records-merge",
        examples=(
            "records merge other.db",
            "records merge postgresql://me@records/tunefleet --db mine.db --dry-run",
        ),
    )(merge)
    command(
        group,
        "prune",
        document="records-prune",
        examples=("records prune --keep 64 --dry-run", "records prune --failed --older-than 90d"),
    )(prune)
    command(group, "stats", document="records-stats", examples=("records stats", "records stats --json"))(
        stats
    )


def import_jsonl(session: Session, file: Path, skip_bad: bool, dry_run: bool) -> None:
    """Store the records of a file that :func:`export_jsonl` wrote."""
    from orchestrator.jsonl import import_records

    with session.storage() as store, session.steps() as steps:
        report = import_records(store, file, skip_bad=skip_bad, dry_run=dry_run, say=steps)
    session.emit({**_imported(report), "database": session.database}, kind="records-import-jsonl")
    for bad in report.bad:
        session.say(f"left out line {bad.number}: {bad.reason}", style="yellow")
    _say_imported(session, report)


def export_jsonl(
    session: Session,
    output: Path,
    *,
    engine: str | None,
    device_class: str | None,
    workloads: list[str] | None,
) -> None:
    """Write records with all that is known of them, on all devices or one."""
    from orchestrator.cli._text import plural, short_path
    from orchestrator.jsonl import export_records

    with session.storage(create=False) as store, session.steps() as steps:
        report = export_records(
            store, output, engine=engine, device_class=device_class, workloads=workloads, say=steps
        )
    session.emit(
        {
            "file": str(report.path),
            "trials": report.trials,
            "trials_failed": report.failed,
            "workloads": report.workloads,
            "device_classes": list(report.device_classes),
        },
        kind="records-export-jsonl",
    )
    failed = f", {report.failed:,} of them failed" if report.failed else ""
    session.write(
        Text(
            f"wrote {plural(report.trials, 'trial')} of {plural(report.workloads, 'workload')} on "
            f"{plural(len(report.device_classes), 'device class')}{failed}"
        ),
        Text(f"wrote {short_path(str(report.path))}"),
    )


def merge(
    session: Session,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="The other database: a file or a URL, as --db.", show_default=False
        ),
    ],
    engine: _EngineName = None,
    device: DeviceClass = None,
    dry_run: _DryRun = False,
) -> None:
    """Store the records of another database in this one.

    Trials, their workloads and device classes come over; campaigns and comparisons stay there, and the other
    database is only read. What is stored here already changes nothing, so it may be done again at any time.
    """
    from orchestrator.jsonl import merge_store
    from orchestrator.storage import Storage

    with (
        session.storage() as store,
        Storage.open(source, create=False) as other,
        session.steps() as steps,
    ):
        if other.url == store.url:
            raise UsageError("both are the same database; name the other one, or this one with --db")
        report = merge_store(store, other, engine=engine, device_class=device, dry_run=dry_run, say=steps)
    session.emit({**_imported(report), "database": session.database})
    _say_imported(session, report)


def prune(
    session: Session,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep",
            min=1,
            metavar="N",
            help="Of each workload on each device class the fastest N stay.",
            show_default=False,
        ),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Failed trials go.")] = False,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", metavar="AGE", help="Only those older than that: 90d, 12w.", show_default=False
        ),
    ] = None,
    engine: _EngineName = None,
    device: DeviceClass = None,
    dry_run: _DryRun = False,
) -> None:
    """Delete trials that no build will use.

    The fastest of each workload always stays. But what is deleted counts toward no budget any more: a
    campaign that asks for it measures it again.
    """
    from orchestrator.cli._text import plural

    age = None if older_than is None else _age(older_than)
    with session.storage(create=False) as store, session.steps() as steps:
        steps("looking for what may go")
        counts = store.prune(
            keep=keep, failed=failed, older_than=age, engine=engine, device_class=device, dry_run=dry_run
        )
        if counts.trials and not dry_run:
            steps("giving the space back")
            store.shrink()
    session.emit(
        {
            "dry_run": dry_run,
            "trials_before": counts.before,
            "trials_deleted": counts.trials,
            "trials_failed": counts.failures,
            "workloads_deleted": counts.workloads,
        }
    )
    would = "would delete" if dry_run else "deleted"
    failures = f", {counts.failures:,} of them failures" if counts.failures else ""
    session.write(Text(f"{would} {counts.trials:,} of {plural(counts.before, 'trial')}{failures}"))
    if counts.workloads:
        session.write(Text(f"deleted {plural(counts.workloads, 'workload')} that nothing refers to any more"))


def stats(session: Session) -> None:
    """Say how much is stored, for each engine and device class."""
    from orchestrator.cli._grid import Grid
    from orchestrator.cli._tables import facts
    from orchestrator.cli._text import age, amount, instant

    with session.storage(create=False) as store:
        found = store.statistics()
    session.emit(
        {
            "database": session.database,
            "size_bytes": found.size_bytes,
            "workloads": found.workloads,
            "models": found.models,
            "campaigns": found.campaigns,
            "verifications": found.verifications,
            "device_classes": [
                {
                    "device_class": row.device_class,
                    "engine": row.engine,
                    "device": row.device,
                    "workloads": row.workloads,
                    "trials": row.trials,
                    "trials_failed": row.failures,
                    "first_at": instant(row.first_at),
                    "last_at": instant(row.last_at),
                }
                for row in found.classes
            ],
        }
    )
    right = ("workloads", "trials", "failed")
    grid = Grid("device class", "engine", *right, "first", "last", right=right, flexible=("device class",))
    for row in found.classes:
        grid.add(
            row.device_class,
            row.engine,
            amount(row.workloads),
            amount(row.trials),
            f"{row.failures / row.trials:.1%}",
            age(row.first_at),
            age(row.last_at),
        )
    pairs = [
        ("trials", amount(sum(row.trials for row in found.classes))),
        ("workloads", amount(found.workloads)),
        ("models", amount(found.models)),
        ("campaigns", amount(found.campaigns)),
        ("size", _size(found.size_bytes)),
    ]
    if found.classes:
        session.show(grid.table(), "")
    session.show(facts(pairs))


def _imported(report: Imported) -> dict[str, object]:
    return {
        "source": report.source,
        "device_classes": list(report.device_classes),
        "dry_run": report.dry_run,
        "lines_bad": [{"line": bad.number, "reason": bad.reason} for bad in report.bad],
        "workloads": report.workloads,
        "trials": report.trials,
        "trials_failed": report.failed,
        "trials_stored_before": report.stored_before,
        "trials_imported": report.imported,
    }


def _say_imported(session: Session, report: Imported) -> None:
    from orchestrator.cli._text import plural

    what = f"{plural(report.imported, 'new trial')} of {report.trials:,} in {report.source}"
    on = ", ".join(report.device_classes)
    session.write(
        Text(f"{'would import' if report.dry_run else 'imported'} {what}{f' on {on}' if on else ''}")
    )
    if report.stored_before:
        session.write(Text(f"{report.stored_before:,} of them stored before: nothing changed"))


def _age(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,5})([dw])", text)
    if found is None:
        raise UsageError(f"--older-than {text!r} is no age; write days or weeks: 90d, 12w")
    return timedelta(days=int(found[1]) * _DAYS[found[2]])


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
