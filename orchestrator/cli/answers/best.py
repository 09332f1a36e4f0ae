"""``best`` without a model: the best of every workload that is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from orchestrator.cli.kit.arguments import require_known
from orchestrator.cli.kit.device_column import DeviceColumn
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.stale import say_stale
from orchestrator.cli.kit.stored import device_class_named
from orchestrator.cli.kit.text import age, amount, latency
from orchestrator.documents.best import stored_best_document
from orchestrator.documents.ratios import speed_text
from orchestrator.errors import UsageError
from orchestrator.storage import BestOrder

if TYPE_CHECKING:
    from orchestrator.storage import BestRow

__all__ = ["stored_best"]

_SERVED_AT_ONCE = 1000


def stored_best(
    session: Session,
    device: str | None,
    engine: str | None,
    pattern: str | None,
    order: str,
    limit: int,
    *,
    stale: bool = True,
) -> None:
    """Show the best of every workload that is stored: what ``best`` does without a model."""
    known = [one.value for one in BestOrder]
    if order not in known:
        raise UsageError(f"--sort {order!r} is none of {', '.join(known)}")
    if session.address is not None:
        rows, more = _served(session, device, engine, pattern, order, limit, stale=stale)
    else:
        rows, more = _here(session, device, engine, pattern, order, limit, stale=stale)
    session.emit(stored_best_document(rows, more=more), kind="best-stored")
    if rows:
        session.show(_table(rows))
    else:
        session.say(
            "no trial of such a workload succeeded; `tunefleet best` lists all"
            if device or engine or pattern
            else "nothing is stored yet; `tunefleet tune MODEL.onnx` finds something"
        )
    say_stale(session, sum(row.stale for row in rows), len(rows))
    if more:
        all_of_them = "--limit 0 lists all of them"
        if session.address is not None and len(rows) == _SERVED_AT_ONCE:
            all_of_them = f"a service tells of {_SERVED_AT_ONCE:,}"
        session.say(f"there are more; {all_of_them}", style="dim")


def _here(
    session: Session,
    device: str | None,
    engine: str | None,
    pattern: str | None,
    order: str,
    limit: int,
    *,
    stale: bool,
) -> tuple[list[BestRow], bool]:
    """Return what a database here has, and whether there is more."""
    require_known(engine)
    with session.storage(create=False) as store:
        device_class = None if device is None else device_class_named(store, device, engine).name
        rows = store.answers.best(
            device_class=device_class,
            engine=engine,
            name_pattern=pattern,
            order=BestOrder(order),
            stale=stale,
            # One more, to know whether there are more.
            limit=limit + 1 if limit else None,
        )
    shown = rows[:limit] if limit else rows
    return shown, len(rows) > len(shown)


def _served(
    session: Session,
    device: str | None,
    engine: str | None,
    pattern: str | None,
    order: str,
    limit: int,
    *,
    stale: bool,
) -> tuple[list[BestRow], bool]:
    """Return what a service has, and whether there is more."""
    from orchestrator.remote.rows.answers import best_of

    # A pattern may take a program minutes, and the service is not theirs alone who ask.
    session.refuse_served(tasks=pattern, stale=not stale)
    server = session.server()
    assert server is not None
    with server:
        most = min(limit or _SERVED_AT_ONCE, _SERVED_AT_ONCE)
        document = server.get("best-stored", "best", device=device, engine=engine, sort=order, limit=most)
    return best_of(document), bool(document["more"])


def _table(rows: Sequence[BestRow]) -> Table:
    """The best of each workload, one a row."""
    device = DeviceColumn(row.device_class for row in rows)
    right = ("best", "GFLOP/s", "trials", "failed")
    grid = Grid(
        "task", *right, "recorded", "workload", *device.heading, right=right, flexible=("task", "device")
    )
    for row in rows:
        grid.add(
            row.name,
            latency(row.best_s),
            speed_text(row.flops, row.best_s),
            amount(row.trials),
            amount(row.failures),
            age(row.recorded_at) + (", stale" if row.stale else ""),
            row.workload_hash[:12],
            *device.cell(row.device_class),
        )
    return grid.table()
