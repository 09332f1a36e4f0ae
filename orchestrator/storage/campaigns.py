"""Campaigns: stored, found, and moved from state to state by whoever runs them, or at a person's request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from orchestrator.errors import LeaseLostError, NotFoundError, StorageError, UsageError
from orchestrator.storage._campaign_rows import (
    apply_request,
    campaign_row,
    campaigns_held,
    find_campaign,
    lock_campaign,
    move_campaign,
    named_by_us,
    require_owner,
    set_campaign,
)
from orchestrator.storage._group import Group
from orchestrator.storage._ids import (
    insert_row,
    storable,
)
from orchestrator.storage._states import NEXT_STATES, after_request
from orchestrator.storage._tables import (
    Campaign,
    CampaignModel,
    Model,
)
from orchestrator.storage._types import db_now
from orchestrator.storage.rows import (
    CampaignModelRow,
    CampaignRequest,
    CampaignRow,
    CampaignState,
    NewCampaignModel,
)

__all__ = ["Campaigns"]


class Campaigns(Group):
    """Campaigns, their model files, and what people ask of them.

    Whoever holds a campaign's lease (:class:`~orchestrator.storage.leases.Leases`) is its owner, and the only
    one to write its state, tasks and trials. Everyone else leaves a request.
    """

    def create(
        self,
        *,
        engine: str,
        spec: Mapping[str, Any],
        models: Sequence[NewCampaignModel],
        name: str | None = None,
        seed: int = 0,
        priority: int = 0,
        owner: str | None = None,
        ttl_s: float = 30.0,
    ) -> int:
        """Store a queued campaign and return its id.

        Parameters
        ----------
        spec : mapping
            Budgets, targets and whatever else the coordinator needs, JSON.
        name : str or None
            Unique; without one it is ``campaign-ID``.
        priority : int
            The higher, the sooner it is run.
        owner : str or None
            Who runs it: the lease is theirs from the start, so that no other coordinator takes it first.

        Raises
        ------
        UsageError
            The name is taken, or would be read as an id or as several parts of an address.
        """
        if name is not None:
            name = storable(name).strip()
            if not name or name.isdecimal() or named_by_us(name):
                raise UsageError(f"a campaign can't be named {name!r}: that stands for a campaign's number")
            if "/" in name:
                raise UsageError(
                    f"a campaign can't be named {name!r}: in its address in a service, "
                    "'/' divides parts; choose another --name"
                )
        values = {
            "name": name,
            "engine": engine,
            "state": CampaignState.QUEUED.value,
            "spec": dict(spec),
            "message": "",
            "seed": seed,
            "active_s": 0.0,
            "priority": priority,
            "lease_owner": owner,
            "lease_until": None if owner is None else db_now(ttl_s),
        }

        def work(connection: Connection) -> int:
            try:
                with connection.begin_nested():
                    campaign_id = insert_row(connection, Campaign, values)
            except IntegrityError:
                if name is None:
                    raise
                raise UsageError(
                    f"there is a campaign named {name!r} already; choose another --name"
                ) from None
            rows = [
                {
                    "campaign_id": campaign_id,
                    "position": position,
                    "path": storable(model.path),
                    "shapes": {key: list(shape) for key, shape in model.shapes.items()},
                }
                for position, model in enumerate(models)
            ]
            if rows:
                connection.execute(insert(CampaignModel), rows)
            return campaign_id

        return self._database.write(work)

    def get(self, which: int | str) -> CampaignRow:
        """Return a campaign by its id or name; :class:`NotFoundError` where there is none."""
        return self._database.read(lambda c: find_campaign(c, which))

    def newest(
        self,
        *,
        states: Sequence[CampaignState] | None = None,
        name: str | None = None,
        limit: int | None = None,
    ) -> list[CampaignRow]:
        """Return campaigns, the newest first; at most one where a name is given that they were given."""
        query = campaigns_held().order_by(Campaign.id.desc()).limit(limit)
        if states is not None:
            query = query.where(Campaign.state.in_([s.value for s in states]))
        if name is not None:
            query = query.where(Campaign.name == name)
        return [campaign_row(row) for row in self._database.read(lambda c: c.execute(query).all())]

    def models(self, campaign_id: int) -> list[CampaignModelRow]:
        """Return a campaign's model files in their order."""
        query = (
            select(
                CampaignModel.position,
                CampaignModel.path,
                CampaignModel.shapes,
                CampaignModel.model_id,
                Model.name,
            )
            .outerjoin(Model, Model.id == CampaignModel.model_id)
            .where(CampaignModel.campaign_id == campaign_id)
            .order_by(CampaignModel.position)
        )
        return [
            CampaignModelRow(
                row.position,
                row.path,
                {key: tuple(shape) for key, shape in row.shapes.items()},
                row.model_id,
                row.name,
            )
            for row in self._database.read(lambda c: c.execute(query).all())
        ]

    def set_model(self, campaign_id: int, position: int, model_id: int) -> None:
        """Note which stored model a campaign's file turned out to be."""
        change = (
            update(CampaignModel)
            .where(CampaignModel.campaign_id == campaign_id, CampaignModel.position == position)
            .values(model_id=model_id)
        )

        def work(connection: Connection) -> None:
            if connection.execute(change).rowcount == 0:
                raise NotFoundError(f"campaign {campaign_id} has no model at position {position}")

        self._database.write(work)

    def transition(
        self, campaign_id: int, to_state: CampaignState, *, message: str = "", owner: str | None = None
    ) -> CampaignRow:
        """Move a campaign to another state and return it as it then is.

        The first move out of the queue stamps ``started_at``, an end ``finished_at``. A resting state (paused
        or an end) gives the lease back in the same step. What was asked while a campaign was being paused
        happens then, so the returned state may be another: cancelled, or queued again.

        Parameters
        ----------
        owner : str or None
            Who holds the lease; None where nobody does.

        Raises
        ------
        LeaseLostError
            Somebody else holds it.
        StorageError
            This state can't follow that one.
        """

        def work(connection: Connection) -> CampaignRow:
            campaign = lock_campaign(connection, campaign_id)
            if owner is not None:
                require_owner(campaign, owner)
            elif campaign.held:
                raise LeaseLostError(f"campaign {campaign_id} is run by {campaign.lease_owner}")
            if to_state is not campaign.state and to_state not in NEXT_STATES[campaign.state]:
                raise StorageError(
                    f"campaign {campaign_id} is {campaign.state.value} and can't become {to_state.value}"
                )
            move_campaign(connection, campaign, to_state, message)
            if to_state is CampaignState.PAUSED and campaign.request is not None:
                apply_request(connection, lock_campaign(connection, campaign_id), campaign.request)
            return lock_campaign(connection, campaign_id)

        return self._database.write(work)

    def request(self, campaign_id: int, request: CampaignRequest | str) -> CampaignRow:
        """Ask for a campaign to be paused, resumed or cancelled, and return it as it then is.

        Where somebody holds the lease, the request waits for them (:meth:`take_request`); otherwise it
        happens at once: a pause or cancel changes the state, a resume puts the campaign into the queue.

        Raises
        ------
        UsageError
            The campaign has ended in a way that leaves nothing to ask.
        """
        wanted = CampaignRequest(request)

        def work(connection: Connection) -> CampaignRow:
            campaign = lock_campaign(connection, campaign_id)
            if after_request(campaign.state, wanted) is None:
                raise UsageError(
                    f"campaign {campaign_id} is {campaign.state.value}: nothing to {wanted.value}"
                )
            if campaign.held:
                # A cancel stands, whatever is asked after it.
                if campaign.request is not CampaignRequest.CANCEL:
                    set_campaign(connection, campaign_id, request=wanted.value)
            else:
                apply_request(connection, campaign, wanted)
            return lock_campaign(connection, campaign_id)

        return self._database.write(work)

    def take_request(self, campaign_id: int) -> CampaignRequest | None:
        """Return what was asked of a campaign since the last call, and forget it. For the owner of the
        lease."""
        pending = select(Campaign.request).where(Campaign.id == campaign_id)
        # Asked about once a second: only a request that is there is worth a write lock.
        if self._database.read(lambda c: c.execute(pending).scalar_one_or_none()) is None:
            return None

        def work(connection: Connection) -> CampaignRequest | None:
            campaign = lock_campaign(connection, campaign_id)
            set_campaign(connection, campaign_id, request=None)
            return campaign.request

        return self._database.write(work)

    def set_priority(self, campaign_id: int, priority: int) -> CampaignRow:
        """Give a campaign another priority, whoever runs it, and return it as it then is."""

        def work(connection: Connection) -> CampaignRow:
            set_campaign(connection, campaign_id, priority=priority)
            return lock_campaign(connection, campaign_id)

        return self._database.write(work)

    def add_active_time(self, campaign_id: int, seconds: float) -> None:
        """Add wall-clock seconds that were spent on a campaign."""
        self._database.write(lambda c: set_campaign(c, campaign_id, active_s=Campaign.active_s + seconds))
