"""How trials failed, as a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.documents.text import instant

if TYPE_CHECKING:
    from orchestrator.storage import DeviceClassFailures

__all__ = ["failures_document"]


def failures_document(found: Sequence[DeviceClassFailures]) -> dict[str, Any]:
    """How trials failed, by device class and by how they ended."""
    return {
        "device_classes": [
            {
                "device_class": one.device_class,
                "trials": one.trials,
                "trials_failed": one.failed,
                "failures": [
                    {
                        "state": row.state.value,
                        "trials": row.trials,
                        "share": row.share,
                        "workloads": row.workloads,
                        "message": row.message,
                        "message_trials": row.message_trials,
                        "last_at": instant(row.last_at),
                    }
                    for row in one.classes
                ],
            }
            for one in found
        ]
    }
