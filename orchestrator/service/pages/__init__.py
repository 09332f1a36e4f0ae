"""The pages: each answers a question at a glance, rendered here and kept up to date by events."""

from orchestrator.service.pages import (
    campaign,
    campaigns,
    compare,
    devices,
    login,
    models,
    store,
    submit,
)

__all__ = ["PAGES"]

PAGES = (
    campaigns.router,
    submit.router,
    campaign.router,
    models.router,
    devices.router,
    store.router,
    compare.router,
    login.router,
)
