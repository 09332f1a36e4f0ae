"""Leases of campaigns: who runs which, and until when."""

from __future__ import annotations

from sqlalchemy import (
    Connection,
    select,
)

from orchestrator.storage._campaign_rows import (
    TURN,
    apply_request,
    campaign_row,
    campaigns_held,
    lock_campaign,
    require_owner,
    set_campaign,
    waits,
)
from orchestrator.storage._group import Group
from orchestrator.storage._tables import (
    Campaign,
)
from orchestrator.storage._types import db_now
from orchestrator.storage.rows import (
    CampaignRow,
)

__all__ = ["Leases"]


class Leases(Group):
    """Who runs a campaign, by the database's clock.

    A lease is lost when its time ran out *and* somebody else did something with the campaign; an owner that
    was merely slow may renew.
    """

    def acquire(self, campaign_id: int, owner: str, ttl_s: float) -> bool:
        """Take a campaign's lease for ``ttl_s`` seconds of the database's clock.

        Returns whether it was free, run out, or this owner's own.
        """

        def work(connection: Connection) -> bool:
            campaign = lock_campaign(connection, campaign_id)
            if campaign.held and campaign.lease_owner != owner:
                return False
            set_campaign(connection, campaign_id, lease_owner=owner, lease_until=db_now(ttl_s))
            return True

        return self._database.write(work)

    def renew(self, campaign_id: int, owner: str, ttl_s: float) -> None:
        """Keep a lease for ``ttl_s`` seconds from now; also one that ran out but that nobody took.

        Raises
        ------
        LeaseLostError
            It is not this owner's any more: stop working on the campaign, quietly.
        """

        def work(connection: Connection) -> None:
            require_owner(lock_campaign(connection, campaign_id), owner)
            set_campaign(connection, campaign_id, lease_until=db_now(ttl_s))

        self._database.write(work)

    def release(self, campaign_id: int, owner: str) -> None:
        """Give a lease back; does nothing where it isn't this owner's. A waiting request then happens."""

        def work(connection: Connection) -> None:
            campaign = lock_campaign(connection, campaign_id)
            if campaign.lease_owner != owner:
                return
            set_campaign(connection, campaign_id, lease_owner=None, lease_until=None)
            if campaign.request is not None:
                apply_request(connection, campaign, campaign.request)

        self._database.write(work)

    def take_over(self, campaign_id: int, owner: str, from_owner: str, ttl_s: float) -> bool:
        """Take the lease of a holder that is known to be dead, without waiting for it to run out.

        Returns False where the lease is somebody else's by now.
        """

        def work(connection: Connection) -> bool:
            if lock_campaign(connection, campaign_id).lease_owner != from_owner:
                return False
            set_campaign(connection, campaign_id, lease_owner=owner, lease_until=db_now(ttl_s))
            return True

        return self._database.write(work)

    def peek_next(self) -> CampaignRow | None:
        """Return the campaign that has waited for a coordinator first, as :meth:`claim_next` would claim it,
        and leave it there."""
        row = self._database.read(
            lambda c: c.execute(campaigns_held().where(waits()).order_by(*TURN).limit(1)).first()
        )
        return None if row is None else campaign_row(row)

    def claim_next(self, owner: str, ttl_s: float, *, engine: str | None = None) -> CampaignRow | None:
        """Claim a campaign that waits for a coordinator, its lease included; None where none waits.

        Those are the queued ones, and those that a coordinator began and whose lease ran out. The highest
        priority comes first, and of one priority the oldest.

        Parameters
        ----------
        engine : str or None
            Only campaigns of this engine.
        """
        first = select(Campaign.id).where(waits()).order_by(*TURN).limit(1)
        if engine is not None:
            first = first.where(Campaign.engine == engine)
        # Coordinators poll this: don't take the write lock only to find the queue empty.
        if self._database.read(lambda c: c.execute(first).first()) is None:
            return None

        def work(connection: Connection) -> CampaignRow | None:
            campaign_id = connection.execute(first.with_for_update(skip_locked=True)).scalar_one_or_none()
            if campaign_id is None:
                return None
            set_campaign(connection, campaign_id, lease_owner=owner, lease_until=db_now(ttl_s))
            return lock_campaign(connection, campaign_id)

        return self._database.write(work)
