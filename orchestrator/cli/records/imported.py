"""What ``import`` and ``merge`` say of records that came from another store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import plural, printable

if TYPE_CHECKING:
    from orchestrator.records.reports import Imported

__all__ = ["say_imported"]


def say_imported(session: Session, report: Imported) -> None:
    """Say what was new of it, and what was stored before."""
    what = f"{plural(report.imported, 'new trial')} of {report.trials:,} in {report.source}"
    on = ", ".join(report.device_classes)
    session.write(
        Text(f"{'would import' if report.dry_run else 'imported'} {what}{f' on {on}' if on else ''}")
    )
    if report.signed_by is not None:
        by = report.signed_by
        called = f", which calls itself {printable(by.name)}" if by.name else ""
        checked = "" if by.trusted else "; whose key that is was not checked (--trust)"
        if not by.verified:
            checked = "; that it did was not checked, which takes pip install 'tunefleet[signing]'"
        session.write(Text(f"signed by {by.key}{called}{checked}"))
    if report.stored_before:
        verb = "they would get" if report.dry_run else "they got"
        got = f"{verb} {plural(report.added, 'new measurement')}" if report.added else "nothing changed"
        session.write(Text(f"{report.stored_before:,} of them stored before: {got}"))
