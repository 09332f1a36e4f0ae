"""The trials of a campaign's task as points of a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from orchestrator.storage._campaign_rows import started_at
from orchestrator.storage._group import Group
from orchestrator.storage._tables import Trial
from orchestrator.storage._trial_rows import of_pair
from orchestrator.storage._types import db_now
from orchestrator.storage.rows import PointRow
from workers.messages import TrialState

__all__ = ["PointsAnswer"]

# The pace is that of the last minutes, of so many trials at most.
_PACE_SECONDS = 180.0
_PACE_TRIALS = 2000


class PointsAnswer(Group):
    """What was measured for a task, and when?"""

    def points(
        self, campaign_id: int, workload_hash: str, device_class: str, *, last: int | None = None
    ) -> list[PointRow]:
        """Return the trials that a campaign measured for one of its tasks, in the order of their recording.

        Parameters
        ----------
        last : int or None
            The last so many of them.

        Raises
        ------
        NotFoundError
            No such campaign.
        """
        query = (
            select(Trial.id, Trial.created_at, Trial.cost_s, Trial.state)
            .where(of_pair(workload_hash, device_class), Trial.campaign_id == campaign_id)
            .order_by(Trial.id.desc())
            .limit(last)
        )

        def work(connection: Connection) -> tuple[Any, Sequence[Any]]:
            return started_at(connection, campaign_id), connection.execute(query).all()

        began, rows = self._database.read(work)
        return [
            PointRow(
                row.id,
                0.0 if began is None else max(0.0, (row.created_at - began).total_seconds()),
                row.cost_s,
                TrialState(row.state),
            )
            for row in reversed(rows)
        ]

    def per_hour(self, campaign_id: int) -> float | None:
        """Return how many trials an hour a campaign measured in the last minutes; None where it did not."""
        latest = (
            select(Trial.created_at)
            .where(Trial.campaign_id == campaign_id)
            .order_by(Trial.id.desc())
            .limit(_PACE_TRIALS)
            .subquery("latest")
        )
        query = select(func.count(), func.min(latest.c.created_at), db_now()).where(
            latest.c.created_at > db_now(-_PACE_SECONDS)
        )
        count, first, now = self._database.read(lambda c: c.execute(query).one())
        if count < 2:
            return None
        # More than the limit were measured in a shorter time.
        seconds: float = (now - first).total_seconds()
        return int(count) / max(seconds, 1.0) * 3600
