"""Campaigns: their states, what people ask of them, and the lease that says who runs them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from orchestrator.errors import LeaseLostError, NotFoundError, StorageError, UsageError
from orchestrator.storage._database import Database
from orchestrator.storage._lookup import insert_row, storable
from orchestrator.storage._models import Campaign, CampaignModel, Model
from orchestrator.storage._states import NEXT_STATES, after_request
from orchestrator.storage._types import db_now
from orchestrator.storage.rows import (
    BEGUN_STATES,
    ENDED_STATES,
    RESTING_STATES,
    CampaignModelRow,
    CampaignRequest,
    CampaignRow,
    CampaignState,
    NewCampaignModel,
)

__all__ = ["Campaigns", "require_lease"]

_GIVEN_BY_US = re.compile(r"campaign-(\d+)")


class Campaigns(Database):
    """Campaigns and their leases.

    Whoever holds a campaign's lease is its owner, and the only one to write its state, tasks and trials.
    Everyone else leaves a request. A lease is lost when its time ran out *and* somebody else did something
    with the campaign; an owner that was merely slow may renew.
    """

    def create_campaign(
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
            The name is taken, or would be read as an id.
        """
        if name is not None:
            name = storable(name).strip()
            if not name or name.isdecimal() or _GIVEN_BY_US.fullmatch(name):
                raise UsageError(f"a campaign can't be named {name!r}: that stands for a campaign's number")
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

        return self._write(work)

    def get_campaign(self, which: int | str) -> CampaignRow:
        """Return a campaign by its id or name; :class:`NotFoundError` where there is none."""
        return self._read(lambda c: _find(c, which))

    def list_campaigns(
        self, *, states: Sequence[CampaignState] | None = None, limit: int | None = None
    ) -> list[CampaignRow]:
        """Return campaigns, the newest first."""
        query = _campaigns().order_by(Campaign.id.desc()).limit(limit)
        if states is not None:
            query = query.where(Campaign.state.in_([s.value for s in states]))
        return [_campaign_row(row) for row in self._read(lambda c: c.execute(query).all())]

    def campaign_models(self, campaign_id: int) -> list[CampaignModelRow]:
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
            for row in self._read(lambda c: c.execute(query).all())
        ]

    def set_campaign_model(self, campaign_id: int, position: int, model_id: int) -> None:
        """Note which stored model a campaign's file turned out to be."""
        change = (
            update(CampaignModel)
            .where(CampaignModel.campaign_id == campaign_id, CampaignModel.position == position)
            .values(model_id=model_id)
        )

        def work(connection: Connection) -> None:
            if connection.execute(change).rowcount == 0:
                raise NotFoundError(f"campaign {campaign_id} has no model at position {position}")

        self._write(work)

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
            campaign = _lock(connection, campaign_id)
            if owner is not None:
                _require_owner(campaign, owner)
            elif campaign.held:
                raise LeaseLostError(f"campaign {campaign_id} is run by {campaign.lease_owner}")
            if to_state is not campaign.state and to_state not in NEXT_STATES[campaign.state]:
                raise StorageError(
                    f"campaign {campaign_id} is {campaign.state.value} and can't become {to_state.value}"
                )
            _move(connection, campaign, to_state, message)
            if to_state is CampaignState.PAUSED and campaign.request is not None:
                _apply_request(connection, _lock(connection, campaign_id), campaign.request)
            return _lock(connection, campaign_id)

        return self._write(work)

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
            campaign = _lock(connection, campaign_id)
            if after_request(campaign.state, wanted) is None:
                raise UsageError(
                    f"campaign {campaign_id} is {campaign.state.value}: nothing to {wanted.value}"
                )
            if campaign.held:
                # A cancel stands, whatever is asked after it.
                if campaign.request is not CampaignRequest.CANCEL:
                    _set(connection, campaign_id, request=wanted.value)
            else:
                _apply_request(connection, campaign, wanted)
            return _lock(connection, campaign_id)

        return self._write(work)

    def take_request(self, campaign_id: int) -> CampaignRequest | None:
        """Return what was asked of a campaign since the last call, and forget it. For the owner of the
        lease."""
        pending = select(Campaign.request).where(Campaign.id == campaign_id)
        # Asked about once a second: only a request that is there is worth a write lock.
        if self._read(lambda c: c.execute(pending).scalar_one_or_none()) is None:
            return None

        def work(connection: Connection) -> CampaignRequest | None:
            campaign = _lock(connection, campaign_id)
            _set(connection, campaign_id, request=None)
            return campaign.request

        return self._write(work)

    def set_priority(self, campaign_id: int, priority: int) -> CampaignRow:
        """Give a campaign another priority, whoever runs it, and return it as it then is."""

        def work(connection: Connection) -> CampaignRow:
            _set(connection, campaign_id, priority=priority)
            return _lock(connection, campaign_id)

        return self._write(work)

    def add_active_time(self, campaign_id: int, seconds: float) -> None:
        """Add wall-clock seconds that were spent on a campaign."""
        self._write(lambda c: _set(c, campaign_id, active_s=Campaign.active_s + seconds))

    def acquire_lease(self, campaign_id: int, owner: str, ttl_s: float) -> bool:
        """Take a campaign's lease for ``ttl_s`` seconds of the database's clock.

        Returns whether it was free, run out, or this owner's own.
        """

        def work(connection: Connection) -> bool:
            campaign = _lock(connection, campaign_id)
            if campaign.held and campaign.lease_owner != owner:
                return False
            _set(connection, campaign_id, lease_owner=owner, lease_until=db_now(ttl_s))
            return True

        return self._write(work)

    def renew_lease(self, campaign_id: int, owner: str, ttl_s: float) -> None:
        """Keep a lease for ``ttl_s`` seconds from now; also one that ran out but that nobody took.

        Raises
        ------
        LeaseLostError
            It is not this owner's any more: stop working on the campaign, quietly.
        """

        def work(connection: Connection) -> None:
            _require_owner(_lock(connection, campaign_id), owner)
            _set(connection, campaign_id, lease_until=db_now(ttl_s))

        self._write(work)

    def release_lease(self, campaign_id: int, owner: str) -> None:
        """Give a lease back; does nothing where it isn't this owner's. A waiting request then happens."""

        def work(connection: Connection) -> None:
            campaign = _lock(connection, campaign_id)
            if campaign.lease_owner != owner:
                return
            _set(connection, campaign_id, lease_owner=None, lease_until=None)
            if campaign.request is not None:
                _apply_request(connection, campaign, campaign.request)

        self._write(work)

    def take_over_lease(self, campaign_id: int, owner: str, from_owner: str, ttl_s: float) -> bool:
        """Take the lease of a holder that is known to be dead, without waiting for it to run out.

        Returns False where the lease is somebody else's by now.
        """

        def work(connection: Connection) -> bool:
            if _lock(connection, campaign_id).lease_owner != from_owner:
                return False
            _set(connection, campaign_id, lease_owner=owner, lease_until=db_now(ttl_s))
            return True

        return self._write(work)

    def peek_queued(self) -> CampaignRow | None:
        """Return the campaign that has waited for a coordinator first, as :meth:`next_queued` would claim it,
        and leave it there."""
        row = self._read(lambda c: c.execute(_campaigns().where(_waits()).order_by(*_TURN).limit(1)).first())
        return None if row is None else _campaign_row(row)

    def next_queued(self, owner: str, ttl_s: float, *, engine: str | None = None) -> CampaignRow | None:
        """Claim a campaign that waits for a coordinator, its lease included; None where none waits.

        Those are the queued ones, and those that a coordinator began and whose lease ran out. The highest
        priority comes first, and of one priority the oldest.

        Parameters
        ----------
        engine : str or None
            Only campaigns of this engine.
        """
        first = select(Campaign.id).where(_waits()).order_by(*_TURN).limit(1)
        if engine is not None:
            first = first.where(Campaign.engine == engine)
        # Coordinators poll this: don't take the write lock only to find the queue empty.
        if self._read(lambda c: c.execute(first).first()) is None:
            return None

        def work(connection: Connection) -> CampaignRow | None:
            campaign_id = connection.execute(first.with_for_update(skip_locked=True)).scalar_one_or_none()
            if campaign_id is None:
                return None
            _set(connection, campaign_id, lease_owner=owner, lease_until=db_now(ttl_s))
            return _lock(connection, campaign_id)

        return self._write(work)


def require_lease(connection: Connection, campaign_id: int, owner: str) -> None:
    """Raise :class:`LeaseLostError` unless ``owner`` has the lease; it then can't change hands before the
    commit."""
    _require_owner(_lock(connection, campaign_id), owner)


def _require_owner(campaign: CampaignRow, owner: str) -> None:
    if campaign.lease_owner != owner:
        holder = f"{campaign.lease_owner} runs it now" if campaign.lease_owner else "it was released"
        raise LeaseLostError(f"the lease of campaign {campaign.id} was lost: {holder}")


def _held() -> ColumnElement[bool]:
    return func.coalesce(and_(Campaign.lease_owner.is_not(None), Campaign.lease_until > db_now()), False)


#: Whose turn it is: the highest priority's, then the oldest's.
_TURN = (Campaign.priority.desc(), Campaign.id)


def _waits() -> ColumnElement[bool]:
    free = or_(Campaign.lease_until.is_(None), Campaign.lease_until <= db_now())
    waiting = [CampaignState.QUEUED.value, *sorted(s.value for s in BEGUN_STATES)]
    return and_(Campaign.state.in_(waiting), free)


def _campaigns() -> Select[Any]:
    return select(*Campaign.__table__.c, _held().label("held"))


def _find(connection: Connection, which: int | str) -> CampaignRow:
    query = _campaigns()
    text = str(which)
    ours = _GIVEN_BY_US.fullmatch(text)
    if isinstance(which, int) or text.isdecimal() or ours:
        number = int(ours[1] if ours else text)
        # Larger ones don't fit the column, and the database would refuse them.
        row = connection.execute(query.where(Campaign.id == number)).one_or_none() if number < 2**31 else None
    else:
        row = connection.execute(query.where(Campaign.name == text)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no campaign {text!r}; `tunefleet list` shows them")
    return _campaign_row(row)


def _lock(connection: Connection, campaign_id: int) -> CampaignRow:
    """Read a campaign that this transaction is about to change."""
    row = connection.execute(_campaigns().where(Campaign.id == campaign_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no campaign {campaign_id}; `tunefleet list` shows them")
    return _campaign_row(row)


def _set(connection: Connection, campaign_id: int, **values: Any) -> None:
    done = connection.execute(update(Campaign).where(Campaign.id == campaign_id).values(**values))
    if done.rowcount == 0:
        raise NotFoundError(f"there is no campaign {campaign_id}; `tunefleet list` shows them")


def _move(connection: Connection, campaign: CampaignRow, to_state: CampaignState, message: str) -> None:
    values: dict[str, Any] = {"state": to_state.value, "message": storable(message)}
    if to_state in BEGUN_STATES and campaign.started_at is None:
        values["started_at"] = db_now()
    if to_state is not campaign.state:
        values["finished_at"] = db_now() if to_state in ENDED_STATES else None
    if to_state in RESTING_STATES:
        values.update(lease_owner=None, lease_until=None, request=None)
    _set(connection, campaign.id, **values)


def _apply_request(connection: Connection, campaign: CampaignRow, request: CampaignRequest) -> None:
    """Do what is asked of a campaign that nobody runs; what makes no sense any more is dropped."""
    to_state = after_request(campaign.state, request)
    # The lease goes too: should its holder be merely slow, it finds it lost and stops.
    _set(connection, campaign.id, request=None, lease_owner=None, lease_until=None)
    if to_state is not None and to_state is not campaign.state:
        _move(connection, campaign, to_state, "")


def _campaign_row(row: Row[Any]) -> CampaignRow:
    values = dict(row._mapping)
    values["name"] = row.name or f"campaign-{row.id}"
    values["state"] = CampaignState(row.state)
    values["request"] = None if row.request is None else CampaignRequest(row.request)
    values["held"] = bool(row.held)
    return CampaignRow(**values)
