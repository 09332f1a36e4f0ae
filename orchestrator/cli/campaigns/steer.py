"""``pause``, ``cancel`` and ``priority``: wishes that a campaign's coordinator reads from the store."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.kit import options
from orchestrator.cli.kit.session import Session

__all__ = ["cancel", "pause", "priority"]


def pause(session: Session, campaign: options.Campaign) -> None:
    """Pause a campaign; `tunefleet resume` goes on with it.

    Where another process runs it, that one is asked and stops within seconds. Everything measured stays.
    """
    _ask(session, campaign, "pause")


def cancel(session: Session, campaign: options.Campaign) -> None:
    """End a campaign for good. Its trials stay, and count for every other campaign."""
    _ask(session, campaign, "cancel")


def priority(
    session: Session,
    campaign: options.Campaign,
    value: Annotated[
        int,
        typer.Argument(metavar="N", min=-1000, max=1000, help="The higher, the sooner.", show_default=False),
    ],
) -> None:
    """Give a campaign another priority, also while it runs.

    Of the campaigns that share a coordinator's devices and cores, those of the highest priority are served
    first, and those of one priority evenly.
    """
    from orchestrator.cli.campaigns.documents import campaign_document

    with session.storage(create=False) as store:
        row = store.campaigns.set_priority(store.campaigns.get(campaign).id, value)
    session.emit({"campaign": campaign_document(row)})
    session.show(f"campaign {row.id} has priority {row.priority}")


def _ask(session: Session, campaign: str, wanted: str) -> None:
    from orchestrator.cli.campaigns.documents import campaign_document

    with session.storage(create=False) as store:
        row = store.campaigns.request(store.campaigns.get(campaign).id, wanted)
    session.emit({"campaign": campaign_document(row)})
    if row.request is not None:
        session.show(f"{row.lease_owner}, which runs campaign {row.id}, was asked to {row.request.value} it")
    else:
        session.show(f"campaign {row.id} is {row.state.value}")
