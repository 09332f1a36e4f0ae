"""Quotas of tokens: what is used up is refused with what there was of it."""

from __future__ import annotations

from orchestrator.service.access.identity import Identity
from orchestrator.service.parts import Parts
from orchestrator.service.refusals import RefusedError
from orchestrator.storage import CampaignRow, CampaignState, TokenRow, TokenScope

__all__ = [
    "highest_priority",
    "owns",
    "require_own",
    "require_priority",
    "require_quota",
    "require_quota_to_resume",
    "upload_limit",
]

# Who submits may set work before that of others who do, but never before an administrator's.
_HIGHEST = {TokenScope.READ: 0, TokenScope.SUBMIT: 10, TokenScope.ADMIN: 1000}


def highest_priority(identity: Identity) -> int:
    """Return the highest priority that somebody may give a campaign."""
    return _HIGHEST[identity.scope]


def require_priority(identity: Identity, priority: int) -> None:
    """Refuse a priority that is above somebody's.

    Raises
    ------
    RefusedError
    """
    most = highest_priority(identity)
    if priority > most:
        raise RefusedError(
            403,
            f"priority {priority} is above {most}, the highest for a token of scope {identity.scope.value}",
        )


def require_quota(parts: Parts, identity: Identity) -> None:
    """Refuse another campaign to a token that has used up what it has.

    Raises
    ------
    RefusedError
    """
    if identity.token is not None:
        _require_quota(parts, identity.token, another=True)


def require_quota_to_resume(parts: Parts, campaign: CampaignRow) -> None:
    """Refuse to go on with a campaign whose own token has used up what it has, whoever asks for it.

    Raises
    ------
    RefusedError
    """
    if campaign.state not in (CampaignState.FAILED, CampaignState.PAUSED):
        return
    token_id = parts.store.submissions.token_of(campaign.id)
    if token_id is not None:
        # One that is paused is counted as it is.
        another = campaign.state is CampaignState.FAILED
        _require_quota(parts, parts.store.tokens.get(token_id), another=another)


def _require_quota(parts: Parts, token: TokenRow, *, another: bool) -> None:
    if another and token.campaigns_at_once is not None:
        there = parts.store.submissions.open(token.id)
        if len(there) >= token.campaigns_at_once:
            numbers = ", ".join(map(str, there))
            raise RefusedError(
                429,
                f"the token {token.name!r} may have {token.campaigns_at_once} campaigns at once, and has "
                f"{numbers}: wait for one to end, or cancel one",
            )
    if token.device_seconds_a_day is not None:
        used = parts.store.submissions.device_seconds(token.id)
        if used >= token.device_seconds_a_day:
            raise RefusedError(
                429,
                f"the token {token.name!r} has {token.device_seconds_a_day:,.0f} s of measurements a day, "
                f"and {used:,.0f} s were measured in the last 24 hours: wait until some are longer ago",
            )


def upload_limit(parts: Parts, identity: Identity) -> int:
    """Return how many bytes somebody may upload."""
    most = parts.settings.upload_bytes
    own = None if identity.token is None else identity.token.upload_bytes
    return most if own is None else min(most, own)


def owns(parts: Parts, identity: Identity, campaign_id: int) -> bool:
    """Whether a campaign came with somebody's token; to an administrator all are their own."""
    if identity.may_administer:
        return True
    token = identity.token
    return token is not None and parts.store.submissions.token_of(campaign_id) == token.id


def require_own(parts: Parts, identity: Identity, campaign: CampaignRow) -> None:
    """Refuse what is done to a campaign that came with another token, or none; an administrator may.

    Raises
    ------
    RefusedError
    """
    if not owns(parts, identity, campaign.id):
        raise RefusedError(
            403,
            f"campaign {campaign.id} is not of the token {identity.name!r}; ask an administrator",
        )
