"""Asking whoever runs a campaign for something: what ``pause`` and ``cancel`` do."""

from __future__ import annotations

from orchestrator.cli.kit.session import Session
from orchestrator.documents.campaigns import campaign_document
from orchestrator.storage import CampaignRequest

__all__ = ["ask_for"]


def ask_for(session: Session, campaign: str, wanted: CampaignRequest) -> None:
    """Leave a request in the store, and say whether it waits for somebody or is done.

    Raises
    ------
    UsageError
        The campaign has ended.
    """
    if (server := session.server()) is not None:
        from orchestrator.remote.campaigns import campaign_part
        from orchestrator.remote.rows.campaigns import campaign_of

        with server:
            part = campaign_part(server, campaign)
            row = campaign_of(server.post(wanted.value, "campaigns", part, wanted.value)["campaign"])
    else:
        with session.storage(create=False) as store:
            row = store.campaigns.request(store.campaigns.get(campaign).id, wanted)
    session.emit({"campaign": campaign_document(row)})
    if row.request is not None:
        session.show(f"{row.lease_owner}, which runs campaign {row.id}, was asked to {row.request.value} it")
    else:
        session.show(f"campaign {row.id} is {row.state.value}")
