"""The best of every workload that is stored, as a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.documents.text import gflops, instant

if TYPE_CHECKING:
    from orchestrator.storage import BestRow

__all__ = ["stored_best_document"]


def stored_best_document(rows: Sequence[BestRow], *, more: bool) -> dict[str, Any]:
    """The best of each workload on each device class."""
    return {
        "best": [
            {
                "name": row.name,
                "workload_hash": row.workload_hash,
                "engine": row.engine,
                "device_class": row.device_class,
                "flops": row.flops,
                "trials": row.trials,
                "failures": row.failures,
                "best_s": row.best_s,
                "gflops": gflops(row.flops, row.best_s),
                "stale": row.stale,
                "trial_id": row.trial_id,
                "campaign_id": row.campaign_id,
                "recorded_at": instant(row.recorded_at),
            }
            for row in rows
        ],
        "more": more,
    }
