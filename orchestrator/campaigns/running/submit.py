"""Leaving a campaign in the store: all that it takes to start one, and nothing of what runs it."""

from __future__ import annotations

import pathlib

from orchestrator.campaigns.running.leases import LEASE_SECONDS, this_owner
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.errors import UsageError
from orchestrator.models.elsewhere import is_elsewhere
from orchestrator.storage import CampaignRow, NewCampaignModel, Storage

__all__ = ["submit"]


def submit(
    store: Storage, spec: CampaignSpec, *, name: str | None = None, hold: bool = False, priority: int = 0
) -> CampaignRow:
    """Store a campaign, to be run by whoever comes first.

    Parameters
    ----------
    priority : int, optional
        On a shared fleet, campaigns of a higher one come first.
    hold : bool, optional
        This process will run it: no coordinator takes it in the meantime.

    Raises
    ------
    UsageError
        Where a model file is not there, or the name is taken.
    """
    for request in spec.models:
        # Who put it elsewhere knows that it is there; who runs the campaign has to reach it.
        if not is_elsewhere(request.path) and not pathlib.Path(request.path).is_file():
            raise UsageError(f"there is no model file {request.path}")
    campaign_id = store.campaigns.create(
        engine=spec.engine,
        spec=spec.model_dump(mode="json"),
        models=[NewCampaignModel(request.path, request.shapes) for request in spec.models],
        name=name,
        seed=spec.seed,
        priority=priority,
        owner=this_owner() if hold else None,
        ttl_s=LEASE_SECONDS,
    )
    return store.campaigns.get(campaign_id)
