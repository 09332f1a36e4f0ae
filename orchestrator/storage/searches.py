"""When was searched for a campaign, and where."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert

from orchestrator.storage._campaign_rows import require_lease
from orchestrator.storage._group import Group
from orchestrator.storage._ids import storable
from orchestrator.storage._tables import Search
from orchestrator.storage._types import db_now
from orchestrator.storage.rows import NewSearch

__all__ = ["Searches"]


class Searches(Group):
    """What nodes did for a campaign that is in no trial."""

    def add(self, campaign_id: int, searches: Sequence[NewSearch], *, owner: str) -> None:
        """Store when was searched.

        Raises
        ------
        LeaseLostError
            ``owner`` doesn't hold the campaign's lease.
        """

        def work(connection: Connection) -> None:
            require_lease(connection, campaign_id, owner)
            for one in searches:
                values = {
                    "campaign_id": campaign_id,
                    "host": storable(one.host),
                    "began_at": db_now(-(one.ended_ago_s + one.took_s)),
                    "took_s": one.took_s,
                }
                connection.execute(insert(Search).values(**values))

        self._database.write(work)
