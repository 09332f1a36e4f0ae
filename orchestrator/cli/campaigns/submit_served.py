"""Leaving a campaign to the coordinator of a service: its models are uploaded first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.campaigns.tune_options import TuneOptions
from orchestrator.cli.kit.session import Session
from orchestrator.storage import CampaignRow

if TYPE_CHECKING:
    from orchestrator.remote.connection import Connection

__all__ = ["submit_served"]


def submit_served(
    session: Session, server: Connection, wanted: TuneOptions, priority: int = 0
) -> CampaignRow:
    """Upload the models, those that are there already apart, and submit.

    Raises
    ------
    UsageError, ModelError
        It can't be asked for so, or a file is none.
    """
    from orchestrator.campaigns.spec import CampaignSpec
    from orchestrator.remote.rows.campaigns import campaign_of
    from orchestrator.remote.uploads import upload

    values = wanted.values(session)
    # What can't be right is said before a gigabyte was sent.
    spec = CampaignSpec.of(values)
    with session.steps() as steps:
        models = [
            {
                "sha256": upload(server, Path(model.path), steps),
                "shapes": {name: list(shape) for name, shape in model.shapes.items()},
            }
            for model in spec.models
        ]
    search = values.pop("search", {})
    body: dict[str, Any] = {
        **values,
        "models": models,
        "name": wanted.name,
        "priority": priority,
        "search": {**search.pop("settings", {}), **search} or None,
    }
    given = {name: value for name, value in body.items() if value is not None}
    return campaign_of(server.post("submit", "campaigns", body=given)["campaign"])
