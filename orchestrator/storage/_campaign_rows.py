"""The rows of campaigns: read, locked and changed within a transaction."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    func,
    or_,
    select,
    update,
)

from orchestrator.errors import LeaseLostError, NotFoundError
from orchestrator.storage._ids import (
    storable,
)
from orchestrator.storage._states import after_request
from orchestrator.storage._tables import (
    Campaign,
)
from orchestrator.storage._types import db_now
from orchestrator.storage.rows import (
    BEGUN_STATES,
    ENDED_STATES,
    RESTING_STATES,
    CampaignRequest,
    CampaignRow,
    CampaignState,
)

__all__ = [
    "TURN",
    "apply_request",
    "campaign_row",
    "campaigns_held",
    "find_campaign",
    "lock_campaign",
    "move_campaign",
    "named_by_us",
    "require_lease",
    "require_named_lease",
    "require_owner",
    "set_campaign",
    "started_at",
    "waits",
]

_GIVEN_BY_US = re.compile(r"campaign-(\d+)")

#: Whose turn it is: the highest priority's, then the oldest's.
TURN = (Campaign.priority.desc(), Campaign.id)


def named_by_us(name: str) -> bool:
    """Whether a name is one that campaigns get which were given none."""
    return _GIVEN_BY_US.fullmatch(name) is not None


def campaigns_held() -> Select[Any]:
    return select(*Campaign.__table__.c, _held().label("held"))


def find_campaign(connection: Connection, which: int | str) -> CampaignRow:
    query = campaigns_held()
    text = str(which)
    ours = _GIVEN_BY_US.fullmatch(text)
    if isinstance(which, int) or text.isdecimal() or ours:
        number = int(ours[1] if ours else text)
        # Larger ones don't fit the column, and the database would refuse them.
        row = connection.execute(query.where(Campaign.id == number)).one_or_none() if number < 2**31 else None
    else:
        # A NUL is in no name, and PostgreSQL would refuse to look for one.
        row = None
        if "\x00" not in text:
            row = connection.execute(query.where(Campaign.name == text)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no campaign {text!r}; `tunefleet list` shows them")
    return campaign_row(row)


def lock_campaign(connection: Connection, campaign_id: int) -> CampaignRow:
    """Read a campaign that this transaction is about to change."""
    row = connection.execute(
        campaigns_held().where(Campaign.id == campaign_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no campaign {campaign_id}; `tunefleet list` shows them")
    return campaign_row(row)


def set_campaign(connection: Connection, campaign_id: int, **values: Any) -> None:
    done = connection.execute(update(Campaign).where(Campaign.id == campaign_id).values(**values))
    if done.rowcount == 0:
        raise NotFoundError(f"there is no campaign {campaign_id}; `tunefleet list` shows them")


def move_campaign(
    connection: Connection, campaign: CampaignRow, to_state: CampaignState, message: str
) -> None:
    values: dict[str, Any] = {"state": to_state.value, "message": storable(message)}
    if to_state in BEGUN_STATES and campaign.started_at is None:
        values["started_at"] = db_now()
    if to_state is not campaign.state:
        values["finished_at"] = db_now() if to_state in ENDED_STATES else None
    if to_state in RESTING_STATES:
        values.update(lease_owner=None, lease_until=None, request=None)
    set_campaign(connection, campaign.id, **values)


def apply_request(connection: Connection, campaign: CampaignRow, request: CampaignRequest) -> None:
    """Do what is asked of a campaign that nobody runs; what makes no sense any more is dropped."""
    to_state = after_request(campaign.state, request)
    # The lease goes too: should its holder be merely slow, it finds it lost and stops.
    set_campaign(connection, campaign.id, request=None, lease_owner=None, lease_until=None)
    if to_state is not None and to_state is not campaign.state:
        move_campaign(connection, campaign, to_state, "")


def span_of(connection: Connection, campaign_id: int) -> tuple[datetime | None, datetime | None]:
    """Return when a campaign was begun and ended; :class:`NotFoundError` where there is none."""
    query = select(Campaign.started_at, Campaign.finished_at).where(Campaign.id == campaign_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFoundError(f"no campaign {campaign_id} is stored")
    return row.started_at, row.finished_at


def started_at(connection: Connection, campaign_id: int) -> datetime | None:
    """Return when a campaign was begun; :class:`NotFoundError` where there is none."""
    return span_of(connection, campaign_id)[0]


def require_lease(connection: Connection, campaign_id: int, owner: str) -> None:
    """Raise :class:`LeaseLostError` unless ``owner`` has the lease; it then can't change hands before the
    commit."""
    require_owner(lock_campaign(connection, campaign_id), owner)


def require_named_lease(connection: Connection, campaign_id: int | None, owner: str | None) -> None:
    """Do the same where both are given; else nobody writes for a campaign."""
    if campaign_id is not None and owner is not None:
        require_lease(connection, campaign_id, owner)


def require_owner(campaign: CampaignRow, owner: str) -> None:
    if campaign.lease_owner != owner:
        holder = f"{campaign.lease_owner} runs it now" if campaign.lease_owner else "it was released"
        raise LeaseLostError(f"the lease of campaign {campaign.id} was lost: {holder}")


def _held() -> ColumnElement[bool]:
    return func.coalesce(and_(Campaign.lease_owner.is_not(None), Campaign.lease_until > db_now()), False)


def waits() -> ColumnElement[bool]:
    free = or_(Campaign.lease_until.is_(None), Campaign.lease_until <= db_now())
    waiting = [CampaignState.QUEUED.value, *sorted(s.value for s in BEGUN_STATES)]
    return and_(Campaign.state.in_(waiting), free)


def campaign_row(row: Row[Any]) -> CampaignRow:
    values = dict(row._mapping)
    values["name"] = row.name or f"campaign-{row.id}"
    values["state"] = CampaignState(row.state)
    values["request"] = None if row.request is None else CampaignRequest(row.request)
    values["held"] = bool(row.held)
    return CampaignRow(**values)
