"""Tasks of a campaign as they are stored, as its machine takes them."""

from __future__ import annotations

import math

from orchestrator.campaigns.planning.budgets import PlannedTask
from orchestrator.campaigns.tuning.tasks import Task
from orchestrator.storage.rows import CampaignTaskRow, TaskStanding
from workers.messages import Candidate

__all__ = ["entering"]


def entering(
    row: CampaignTaskRow, standing: TaskStanding, planned: PlannedTask, stale: tuple[Candidate, ...]
) -> Task:
    """Return a task that is about to be tuned.

    Parameters
    ----------
    stale : tuple of Candidate
        What of other toolchains is measured before it is searched.
    """
    return Task(
        id=row.id,
        workload_hash=row.workload_hash,
        device_class=row.device_class,
        name=row.name,
        weight=row.weight,
        flops=row.flops,
        budget=row.budget,
        stored=standing.stored,
        since_best=standing.since_best,
        best_s=math.inf if row.best_s is None or row.best_stale else row.best_s,
        kind=row.workload_name,
        tried=planned.tried,
        cap=planned.cap,
        stale=stale,
        inside_s=None if row.inside is None else row.inside.seconds,
    )
