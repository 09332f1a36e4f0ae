"""How much is stored, as a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.documents.text import instant

if TYPE_CHECKING:
    from orchestrator.storage import Storage, StoreStatistics

__all__ = ["statistics_document", "toolchains_of"]


def toolchains_of(store: Storage, found: StoreStatistics) -> dict[str, dict[str, str] | None]:
    """Return what each device class's toolchain consists of; None where nothing was measured yet."""
    rows = {one.toolchain: store.toolchains.find(one.toolchain) for one in found.classes}
    return {key: None if row is None else row.versions for key, row in rows.items()}


def statistics_document(
    database: str, found: StoreStatistics, toolchains: Mapping[str, dict[str, str] | None]
) -> dict[str, Any]:
    """How much is stored, for each engine and device class."""
    return {
        "database": database,
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
