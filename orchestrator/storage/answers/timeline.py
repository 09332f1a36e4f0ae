"""Who worked for a campaign, and when: each measurement, the build before it, and the searches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from orchestrator.storage._campaign_rows import started_at
from orchestrator.storage._group import Group
from orchestrator.storage._tables import Measurement, Search, Trial
from orchestrator.storage.rows import SearchRow, WorkRow

__all__ = ["TimelineAnswer"]


class TimelineAnswer(Group):
    """Who measured, built and searched, and when?"""

    def work(self, campaign_id: int, *, last: int) -> list[WorkRow]:
        """Return what was measured for the trials that a campaign recorded, in the order of these.

        Parameters
        ----------
        last : int
            For the last so many trials.

        Raises
        ------
        NotFoundError
            No such campaign.
        """
        trials = (
            select(Trial.id)
            .where(Trial.campaign_id == campaign_id)
            .order_by(Trial.id.desc())
            .limit(last)
            .subquery("latest")
        )
        query = (
            select(
                Measurement.device,
                Measurement.host,
                Measurement.measured_at,
                Measurement.run_s,
                Measurement.build_s,
            )
            .join(trials, trials.c.id == Measurement.trial_id)
            .order_by(Measurement.id)
        )

        def work(connection: Connection) -> tuple[Any, Sequence[Any]]:
            return started_at(connection, campaign_id), connection.execute(query).all()

        began, rows = self._database.read(work)
        if began is None:
            return []
        return [
            WorkRow(row.device, row.host, (row.measured_at - began).total_seconds(), row.run_s, row.build_s)
            for row in rows
        ]

    def searches(self, campaign_id: int, *, last: int) -> list[SearchRow]:
        """Return when was searched for a campaign, in the order in which it was stored.

        Parameters
        ----------
        last : int
            The last so many.

        Raises
        ------
        NotFoundError
            No such campaign.
        """
        query = (
            select(Search.host, Search.began_at, Search.took_s)
            .where(Search.campaign_id == campaign_id)
            .order_by(Search.id.desc())
            .limit(last)
        )

        def work(connection: Connection) -> tuple[Any, Sequence[Any]]:
            return started_at(connection, campaign_id), connection.execute(query).all()

        began, rows = self._database.read(work)
        if began is None:
            return []
        return [SearchRow(row.host, (row.began_at - began).total_seconds(), row.took_s) for row in rows[::-1]]
