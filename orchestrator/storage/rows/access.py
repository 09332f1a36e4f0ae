"""Who may do what through the service, and what was done."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

__all__ = ["AuditRow", "NewAuditEntry", "NewToken", "TokenRow", "TokenScope"]


class TokenScope(str, Enum):
    """What a token is for; each may do what those before it may."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"


@dataclass(frozen=True)
class NewToken:
    """A token to be stored, by its digest.

    Attributes
    ----------
    digest : str
        SHA-256 of the token, in hexadecimal digits: the token itself is stored nowhere.
    expires_s : float or None
        Seconds from now after which it is worth nothing; None for no end.
    device_seconds_a_day : float or None
        Seconds of measurements that its campaigns may take in 24 hours; None for no limit, as below.
    campaigns_at_once : int or None
        Campaigns of it that may wait or run at once.
    upload_bytes : int or None
        Size of a file that it may upload.
    """

    name: str
    digest: str
    scope: TokenScope
    expires_s: float | None = None
    device_seconds_a_day: float | None = None
    campaigns_at_once: int | None = None
    upload_bytes: int | None = None


@dataclass(frozen=True)
class TokenRow:
    """A token; its quotas are those of :class:`NewToken`.

    Attributes
    ----------
    live : bool
        Whether, by the database's clock, it was neither revoked nor expired when this was read.
    """

    id: int
    name: str
    scope: TokenScope
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    device_seconds_a_day: float | None
    campaigns_at_once: int | None
    upload_bytes: int | None
    live: bool


@dataclass(frozen=True)
class NewAuditEntry:
    """Something that was changed through the service, or who may change something.

    Attributes
    ----------
    token_id, who : int or None, str
        The token that asked, and its name; None and what stands for it where there was none.
    address : str
        Where from.
    action, subject : str
        What was done, and to what.
    """

    action: str
    subject: str = ""
    token_id: int | None = None
    who: str = ""
    address: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AuditRow:
    """An entry of the audit; the fields are those of :class:`NewAuditEntry`."""

    id: int
    created_at: datetime
    token_id: int | None
    who: str
    address: str
    action: str
    subject: str
    detail: dict[str, Any]
