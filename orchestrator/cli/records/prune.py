"""``records prune``: delete trials that no build will use."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import typer
from rich.text import Text

from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import plural
from orchestrator.cli.records.options import DeviceClass, DryRun, EngineName
from orchestrator.errors import UsageError

__all__ = ["prune"]

_DAYS = {"d": 1, "w": 7}


@command(
    "prune",
    document="records-prune",
    examples=("records prune --keep 64 --dry-run", "records prune --failed --older-than 90d"),
)
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
    engine: EngineName = None,
    device: DeviceClass = None,
    dry_run: DryRun = False,
) -> None:
    """Delete trials that no build will use.

    The fastest of each workload always stays. But what is deleted counts toward no budget any more: a
    campaign that asks for it measures it again.
    """
    age = None if older_than is None else _age(older_than)
    with session.storage(create=False) as store, session.steps() as steps:
        steps("looking for what may go")
        counts = store.upkeep.prune(
            keep=keep, failed=failed, older_than=age, engine=engine, device_class=device, dry_run=dry_run
        )
        if counts.trials and not dry_run:
            steps("giving the space back")
            store.upkeep.shrink()
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


def _age(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,5})([dw])", text)
    if found is None:
        raise UsageError(f"--older-than {text!r} is no age; write days or weeks: 90d, 12w")
    return timedelta(days=int(found[1]) * _DAYS[found[2]])
