"""Who may do what through the service."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.storage._tables.base import Base
from orchestrator.storage._types import db_now

__all__ = ["AuditEntry", "Submission", "Token"]


class Token(Base):
    """What somebody asks the service with; the token itself is not here but its digest."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    digest: Mapped[str] = mapped_column(unique=True)
    scope: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=db_now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    device_seconds_a_day: Mapped[float | None]
    campaigns_at_once: Mapped[int | None]
    upload_bytes: Mapped[int | None] = mapped_column(BigInteger)


class Submission(Base):
    """That a campaign came in through the service, with whose token."""

    __tablename__ = "submissions"

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"), unique=True)
    token_id: Mapped[int] = mapped_column(ForeignKey("tokens.id"), index=True)


class AuditEntry(Base):
    """What was changed through the service."""

    __tablename__ = "audit"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=db_now())
    token_id: Mapped[int | None] = mapped_column(ForeignKey("tokens.id"))
    who: Mapped[str]
    address: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str] = mapped_column(Text)
    detail: Mapped[dict[str, Any]]
