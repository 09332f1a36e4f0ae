"""A campaign's stale records, measured anew before it is shown."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.stale import revalidate_model
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.storage import Storage

__all__ = ["revalidate_campaign"]


def revalidate_campaign(session: Session, store: Storage, campaign: int | str) -> None:
    """Measure the fastest records of another toolchain of all of a campaign's models.

    Raises
    ------
    UsageError
        They are of boards, and nobody said where these register.
    """
    from orchestrator.campaigns.spec import CampaignSpec
    from orchestrator.models.extraction import AUTO

    spec = CampaignSpec.of(store.campaigns.get(campaign).spec)
    if spec.boards:
        raise UsageError(
            "--stale revalidate measures on this machine, and this campaign on boards: `tunefleet records "
            "revalidate MODEL --device KEY --tracker HOST:PORT` does it there"
        )
    with session.toolbox(spec.engine) as tools, session.steps() as steps:
        for request, target in itertools.product(spec.models, spec.targets):
            layout = None if spec.layout == AUTO else spec.layout
            revalidate_model(session, store, tools, request, target=target, layout=layout, say=steps)
