"""Submissions: whose token brought a campaign, and what that token's campaigns took."""

from __future__ import annotations

from sqlalchemy import func, select

from orchestrator.storage._group import Group
from orchestrator.storage._ids import put_row
from orchestrator.storage._tables import Campaign, Measurement, Submission, Trial
from orchestrator.storage._types import db_now
from orchestrator.storage.rows import ENDED_STATES

__all__ = ["Submissions"]

_DAY_SECONDS = 86400.0


class Submissions(Group):
    """Campaigns that came in through the service with a token; those of commands belong to nobody."""

    def put(self, campaign_id: int, token_id: int) -> None:
        """Note that a campaign came with a token."""
        values = {"campaign_id": campaign_id, "token_id": token_id}
        self._database.write(lambda c: put_row(c, Submission, ("campaign_id",), values))

    def token_of(self, campaign_id: int) -> int | None:
        """Return whose token brought a campaign; None where none did."""
        query = select(Submission.token_id).where(Submission.campaign_id == campaign_id)
        return self._database.read(lambda c: c.execute(query).scalar_one_or_none())

    def open(self, token_id: int) -> list[int]:
        """Return the campaigns of a token that have not ended, the first one first."""
        query = (
            select(Campaign.id)
            .join(Submission, Submission.campaign_id == Campaign.id)
            .where(
                Submission.token_id == token_id,
                Campaign.state.not_in([state.value for state in ENDED_STATES]),
            )
            .order_by(Campaign.id)
        )
        return list(self._database.read(lambda c: c.scalars(query).all()))

    def device_seconds(self, token_id: int) -> float:
        """Add up the seconds that measurements of a token's campaigns took in the last 24 hours."""
        campaigns = select(Submission.campaign_id).where(Submission.token_id == token_id)
        query = (
            select(func.coalesce(func.sum(Measurement.run_s), 0.0))
            .join(Trial, Trial.id == Measurement.trial_id)
            .where(Trial.campaign_id.in_(campaigns), Measurement.measured_at > db_now(-_DAY_SECONDS))
        )
        return float(self._database.read(lambda c: c.execute(query).scalar_one()))
