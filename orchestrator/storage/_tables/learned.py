"""What was learned of measuring, and can be had again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ForeignKey,
    Index,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.storage._tables.base import Base
from orchestrator.storage._types import Compressed, db_now

__all__ = ["CostModelRow", "CostSamples", "InsideTime", "ModelProfile"]


class ModelProfile(Base):
    """Where a model's time went, kernel by kernel, when somebody looked."""

    __tablename__ = "profiles"
    __table_args__ = (Index(None, "model_id", "device_class_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    device_class_id: Mapped[int] = mapped_column(ForeignKey("device_classes.id"))
    document: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=db_now())


class InsideTime(Base):
    """What a call of a kernel took inside the first library of a model that was looked into."""

    __tablename__ = "inside_times"
    __table_args__ = (UniqueConstraint("model_id", "device_class_id", "workload_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    device_class_id: Mapped[int] = mapped_column(ForeignKey("device_classes.id"))
    workload_id: Mapped[int] = mapped_column(ForeignKey("workloads.id"))
    # The schedule that it had there, and the key of the toolchain.
    candidate: Mapped[str]
    toolchain: Mapped[str]
    seconds: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(default=db_now())


class CostSamples(Base):
    """What a search's results taught the cost model, in the engine's own form."""

    __tablename__ = "cost_samples"
    __table_args__ = (Index(None, "kind", "device_class_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    device_class_id: Mapped[int] = mapped_column(ForeignKey("device_classes.id"))
    workload_id: Mapped[int] = mapped_column(ForeignKey("workloads.id"))
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id", ondelete="SET NULL"))
    kind: Mapped[str]
    count: Mapped[int]
    samples: Mapped[bytes] = mapped_column(Compressed)
    created_at: Mapped[datetime] = mapped_column(default=db_now())


class CostModelRow(Base):
    """The cost model that was trained last on samples of a kind, for a device class."""

    __tablename__ = "cost_models"
    __table_args__ = (UniqueConstraint("device_class_id", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    device_class_id: Mapped[int] = mapped_column(ForeignKey("device_classes.id"))
    kind: Mapped[str]
    trained_on: Mapped[int]
    model: Mapped[bytes] = mapped_column(Compressed)
    created_at: Mapped[datetime] = mapped_column(default=db_now())
