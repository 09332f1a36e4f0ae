"""``records stats``: how much is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.facts import facts
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.ratios import percent_text
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import age, amount, device_text, instant, plural

if TYPE_CHECKING:
    from orchestrator.storage import Storage

__all__ = ["stats"]


@command("stats", document="records-stats", examples=("records stats", "records stats --json"))
def stats(session: Session) -> None:
    """Say how much is stored, for each engine and device class."""
    from orchestrator.storage import toolchain_text

    with session.storage(create=False) as store:
        found = store.upkeep.statistics()
        toolchains = {row.toolchain: _versions(store, row.toolchain) for row in found.classes}
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
                    "trials_stale": row.stale,
                    "toolchain": toolchains[row.toolchain],
                    "first_at": instant(row.first_at),
                    "last_at": instant(row.last_at),
                }
                for row in found.classes
            ],
        }
    )
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


def _versions(store: Storage, key: str) -> dict[str, str] | None:
    """Return what a toolchain consists of; None where nothing was measured yet."""
    row = store.toolchains.find(key)
    return None if row is None else row.versions


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
