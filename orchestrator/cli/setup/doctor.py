"""``doctor``: what is missing on this machine, and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.arguments import require_engine
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.exits import FAILED
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session

if TYPE_CHECKING:
    from orchestrator.doctor import Check

__all__ = ["doctor"]

_MARKS = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "bold red")}


@command("doctor", panel=options.PANELS.SETUP, examples=("doctor", "doctor --json"), place=Place.HERE)
def doctor(session: Session, engine: options.Engine = options.DEFAULT_ENGINE) -> int:
    """Check what tuning needs here, and say how to mend what is missing.

    It takes some seconds and changes nothing. Exit code 1 says that something would fail.
    """
    from orchestrator.doctor import Status, examine

    require_engine(engine, installed=False)
    with session.steps() as steps:
        checks = examine(session.db, engine, steps, session.toolbox)
    failed = [check for check in checks if check.status is Status.FAIL]
    session.emit({"ok": not failed, "checks": [_document(check) for check in checks]})
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        word, style = _MARKS[check.status.value]
        found = Text(check.found)
        if check.mend:
            found.append(f"\n→ {check.mend}", style=style)
        table.add_row(Text(word, style=style), check.name, found)
    session.show(table)
    if failed:
        session.error(
            f"{len(failed)} of {len(checks)} checks failed: {', '.join(check.name for check in failed)}"
        )
        return FAILED
    return 0


def _document(check: Check) -> dict[str, Any]:
    """One of the doctor's findings."""
    return {"name": check.name, "status": check.status.value, "found": check.found, "mend": check.mend}
