"""Campaigns, and what was decided in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.storage._tables.base import Base
from orchestrator.storage._types import db_now

__all__ = ["Beginning", "Campaign", "CampaignModel", "LayoutDecision", "Search", "Task"]


class Campaign(Base):
    """A campaign; its progress is not here but in the trials."""

    __tablename__ = "campaigns"
    # A number people have in their notes must never come to mean another campaign.
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(unique=True)
    engine: Mapped[str]
    state: Mapped[str] = mapped_column(index=True)
    spec: Mapped[dict[str, Any]]
    request: Mapped[str | None]
    message: Mapped[str] = mapped_column(Text)
    seed: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=db_now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    active_s: Mapped[float]
    priority: Mapped[int] = mapped_column(server_default="0")
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]


class CampaignModel(Base):
    """A model file of a campaign; its model is known once a worker has prepared it."""

    __tablename__ = "campaign_models"
    __table_args__ = (UniqueConstraint("campaign_id", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    position: Mapped[int]
    model_id: Mapped[int | None] = mapped_column(ForeignKey("models.id"), index=True)
    path: Mapped[str] = mapped_column(Text)
    shapes: Mapped[dict[str, Any]]


class Beginning(Base):
    """What a model's library took when a campaign began, and onnxruntime beside it."""

    __tablename__ = "beginnings"
    __table_args__ = (UniqueConstraint("campaign_id", "model_id", "device_class_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    device_class_id: Mapped[int] = mapped_column(ForeignKey("device_classes.id"))
    library_s: Mapped[float | None]
    reference_s: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=db_now())


class Search(Base):
    """When a node searched for a campaign, and for how long: what is in no trial, for its timeline."""

    __tablename__ = "searches"
    __table_args__ = (Index(None, "campaign_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    host: Mapped[str]
    began_at: Mapped[datetime]
    took_s: Mapped[float]


class LayoutDecision(Base):
    """Which of two layouts a model has on a device class, after each was tried out in a campaign."""

    __tablename__ = "layout_decisions"
    __table_args__ = (
        UniqueConstraint("campaign_id", "model_id", "device_class_id"),
        Index(None, "model_id", "device_class_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id", ondelete="SET NULL"))
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    device_class_id: Mapped[int] = mapped_column(ForeignKey("device_classes.id"))
    engine_version: Mapped[str]
    chosen: Mapped[str]
    other: Mapped[str]
    # None where they could not be told apart: the choice then is that of the estimate, for this campaign.
    chosen_s: Mapped[float | None]
    other_s: Mapped[float | None]
    reason: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=db_now())


class Task(Base):
    """A workload to be tuned for a device class in a campaign."""

    __tablename__ = "tasks"
    __table_args__ = (UniqueConstraint("campaign_id", "workload_id", "device_class_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    workload_id: Mapped[int] = mapped_column(ForeignKey("workloads.id"), index=True)
    device_class_id: Mapped[int] = mapped_column(ForeignKey("device_classes.id"))
    name: Mapped[str]
    weight: Mapped[int]
    budget: Mapped[int]
    stored_before: Mapped[int]
    state: Mapped[str]
    note: Mapped[str] = mapped_column(Text)
