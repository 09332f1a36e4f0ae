"""``records stats``: how much is stored."""

from __future__ import annotations

from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.facts import facts
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import age, amount, device_text, plural
from orchestrator.documents.ratios import percent_text
from orchestrator.documents.statistics import statistics_document, toolchains_of

__all__ = ["stats"]


@command(
    "stats",
    document="records-stats",
    examples=("records stats", "records stats --json"),
    place=Place.ANYWHERE,
)
def stats(session: Session) -> None:
    """Say how much is stored, for each engine and device class."""
    from orchestrator.storage import toolchain_text

    if (server := session.server()) is not None:
        from orchestrator.remote.rows.answers import statistics_of

        with server:
            found, toolchains = statistics_of(server.get("records-stats", "statistics"))
    else:
        with session.storage(create=False) as store:
            found = store.upkeep.statistics()
            toolchains = toolchains_of(store, found)
    session.emit(statistics_document(session.database, found, toolchains))
    right = ("workloads", "trials", "failed", "stale")
    grid = Grid("device class", "engine", *right, "first", "last", right=right, flexible=("device class",))
    for row in found.classes:
        grid.add(
            row.device_class,
            row.engine,
            amount(row.workloads),
            amount(row.trials),
            percent_text(row.failures / row.trials),
            amount(row.stale),
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
    for row in found.classes:
        versions = toolchains[row.toolchain]
        if row.stale and versions is not None:
            session.show(
                f"{device_text(row.device_class)} is measured with {toolchain_text(versions)}: "
                f"{plural(row.stale, 'trial')} of others are stale",
                "",
            )
    session.show(facts(pairs))


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
