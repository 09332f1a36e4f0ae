"""``records merge``: two databases into one."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.session import Session
from orchestrator.cli.records.imported import say_imported
from orchestrator.cli.records.options import DeviceClass, DryRun, EngineName
from orchestrator.documents.imported import imported_document
from orchestrator.errors import UsageError

__all__ = ["merge"]


@command(
    "merge",
    document="records-merge",
    examples=(
        "records merge other.db",
        "records merge postgresql://me@records/tunefleet --db mine.db --dry-run",
    ),
)
def merge(
    session: Session,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="The other database: a file or a URL, as --db.", show_default=False
        ),
    ],
    engine: EngineName = None,
    device: DeviceClass = None,
    dry_run: DryRun = False,
) -> None:
    """Store the records of another database in this one.

    Trials, their workloads and device classes come over; campaigns and comparisons stay there, and the other
    database is only read. What is stored here already changes nothing, so it may be done again at any time.
    """
    from orchestrator.records.merge import merge_store
    from orchestrator.storage import Storage

    with (
        session.storage() as store,
        Storage.open(source, create=False) as other,
        session.steps() as steps,
    ):
        if other.url == store.url:
            raise UsageError("both are the same database; name the other one, or this one with --db")
        report = merge_store(store, other, engine=engine, device_class=device, dry_run=dry_run, say=steps)
    session.emit({**imported_document(report), "database": session.database})
    say_imported(session, report)
