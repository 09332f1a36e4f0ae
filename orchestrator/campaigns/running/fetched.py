"""A campaign whose models lie elsewhere, with files here in their place."""

from __future__ import annotations

from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.models.elsewhere import is_elsewhere, local_file

__all__ = ["fetched"]


def fetched(spec: CampaignSpec) -> CampaignSpec:
    """Return a campaign whose models are all files here; those that a service keeps elsewhere are fetched.

    Raises
    ------
    ModelError, UsageError
        One can't be.
    """
    models = tuple(
        model.model_copy(update={"path": str(local_file(model.path))}) if is_elsewhere(model.path) else model
        for model in spec.models
    )
    return spec.model_copy(update={"models": models})
