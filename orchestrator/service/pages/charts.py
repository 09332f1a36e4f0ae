"""What the drawings of a campaign are of."""

from __future__ import annotations

from typing import Any

from orchestrator.documents.curves import curve_documents
from orchestrator.documents.details import Details
from orchestrator.documents.text import device_text
from orchestrator.errors import NotFoundError
from orchestrator.service.pages.progress import elapsed_s
from orchestrator.storage import CampaignTaskRow, Storage

__all__ = ["chart_data"]

# As many as are told apart on a screen, and drawn at once on a phone; the last ones.
_MOST_POINTS = 5000


def chart_data(store: Storage, details: Details, task_id: int | None) -> dict[str, Any]:
    """Return a campaign's curves, and the trials of one task.

    Parameters
    ----------
    task_id : int or None
        Which; None for the one that most of the time rests on.

    Raises
    ------
    NotFoundError
        The campaign has no such task.
    """
    lines = details.snapshot.lines()
    chosen = next((line.row for line in lines if task_id in (None, line.row.id)), None)
    if chosen is None and task_id is not None:
        raise NotFoundError(f"campaign {details.snapshot.campaign.id} has no task {task_id}")
    return {
        "elapsed_s": elapsed_s(details.snapshot.campaign),
        "curves": curve_documents(details.curves),
        "tasks": [
            {"id": line.row.id, "name": line.row.name, "device": device_text(line.row.device_class)}
            for line in lines
        ],
        "task": None if chosen is None else _task(store, details.snapshot.campaign.id, chosen),
    }


def _task(store: Storage, campaign_id: int, row: CampaignTaskRow) -> dict[str, Any]:
    points = store.answers.points(campaign_id, row.workload_hash, row.device_class, last=_MOST_POINTS)
    return {
        "id": row.id,
        "name": row.name,
        "flops": row.flops,
        "best_s": row.best_s,
        "trials": row.measured,
        "points": [[round(point.at_s, 3), point.cost_s] for point in points],
        "failed": sum(point.cost_s is None for point in points),
    }
