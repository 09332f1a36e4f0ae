"""Which campaign of a service a person means."""

from __future__ import annotations

from orchestrator.errors import NotFoundError
from orchestrator.remote.connection import Connection

__all__ = ["campaign_part"]


def campaign_part(server: Connection, campaign: int | str) -> int | str:
    """Return a campaign's number or name as the part of a path: its number where its name has a "/".

    Names of today have none; servers and proxies take it for the end of a part, however it is written.

    Raises
    ------
    NotFoundError
        There is none of such a name.
    """
    if "/" not in str(campaign):
        return campaign
    for found in server.get("list", "campaigns", name=campaign)["campaigns"]:
        return int(found["id"])
    raise NotFoundError(f"there is no campaign {campaign!r}; `tunefleet list` shows them")
