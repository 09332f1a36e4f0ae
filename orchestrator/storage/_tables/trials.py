"""What was measured."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.storage._tables.base import Base
from orchestrator.storage._types import Compressed, db_now

__all__ = ["DeviceCheck", "Measurement", "Trial", "Verification"]


class Trial(Base):
    """A measured candidate, recorded exactly once by the unique constraint.

    Its state, cost and toolchain are those of the measurement that counts, and are written with it.
    """

    __tablename__ = "trials"
    __table_args__ = (
        UniqueConstraint("workload_id", "device_class_id", "candidate"),
        # Best first within a workload on a device class, of one toolchain. The campaign is in it so that a
        # campaign's progress is counted from the index alone, and the id so that equally fast trials come in
        # one order. A name by rule would be longer than PostgreSQL allows.
        Index("ix_trials_best", "workload_id", "device_class_id", "toolchain", "cost_s", "id", "campaign_id"),
        Index(None, "campaign_id", "id"),
        # A deleted trial's id must not return under another trial: verifications name trials by id.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    workload_id: Mapped[int] = mapped_column(ForeignKey("workloads.id"))
    device_class_id: Mapped[int] = mapped_column(ForeignKey("device_classes.id"))
    candidate: Mapped[str]
    trace: Mapped[bytes] = mapped_column(Compressed)
    state: Mapped[str]
    cost_s: Mapped[float | None]
    toolchain: Mapped[str]
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(default=db_now())


class Measurement(Base):
    """One measurement of a trial, stored exactly once by the unique constraint."""

    __tablename__ = "measurements"
    __table_args__ = (
        UniqueConstraint("trial_id", "kind", "token"),
        # Those that count again where a device class goes back to a toolchain; they are few.
        Index(
            "ix_measurements_set_aside",
            "toolchain_id",
            sqlite_where=text("NOT counts"),
            postgresql_where=text("NOT counts"),
        ),
        # What was made while its device had drifted; of most nothing was.
        Index(
            "ix_measurements_drifted",
            "trial_id",
            sqlite_where=text("drift IS NOT NULL"),
            postgresql_where=text("drift IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id", ondelete="CASCADE"))
    toolchain_id: Mapped[int] = mapped_column(ForeignKey("toolchains.id"))
    kind: Mapped[str]
    # Exactly one of each trial does: its times are the trial's.
    counts: Mapped[bool]
    state: Mapped[str]
    times: Mapped[list[Any]]
    message: Mapped[str] = mapped_column(Text)
    device: Mapped[str]
    host: Mapped[str]
    build_s: Mapped[float]
    run_s: Mapped[float]
    token: Mapped[str]
    measured_at: Mapped[datetime] = mapped_column(default=db_now())
    # By which part of its time the known kernel took more on its device meanwhile; None for about as long.
    drift: Mapped[float | None]


class DeviceCheck(Base):
    """What a known kernel took on a device while a campaign measured there, and the machine's condition."""

    __tablename__ = "device_checks"
    __table_args__ = (
        Index(None, "campaign_id", "id"),
        # A name by rule would be longer than PostgreSQL allows.
        Index("ix_device_checks_of_device", "device", "host", "device_class_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id", ondelete="SET NULL"))
    run: Mapped[str]
    device_class_id: Mapped[int] = mapped_column(ForeignKey("device_classes.id"))
    device: Mapped[str]
    host: Mapped[str]
    toolchain_id: Mapped[int] = mapped_column(ForeignKey("toolchains.id"))
    kernel: Mapped[str]
    state: Mapped[str]
    # Of this run, on a steady clock: instants are those of a clock that may be set.
    at_s: Mapped[float]
    times: Mapped[list[Any]]
    time_s: Mapped[float | None]
    reference_s: Mapped[float | None]
    drift: Mapped[float | None]
    tries: Mapped[int]
    marked: Mapped[int]
    message: Mapped[str] = mapped_column(Text)
    # The machine's condition; None for whatever it doesn't tell.
    clock_mhz: Mapped[float | None]
    governor: Mapped[str | None]
    load: Mapped[float | None]
    temperature_c: Mapped[float | None]
    throttle_count: Mapped[int | None] = mapped_column(BigInteger)
    throttling: Mapped[str | None]
    stolen_s: Mapped[float | None]
    checked_at: Mapped[datetime] = mapped_column(default=db_now())


class Verification(Base):
    """A built model compared with the reference."""

    __tablename__ = "verifications"
    __table_args__ = (Index(None, "model_id", "device_class_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int | None] = mapped_column(
        ForeignKey("campaigns.id", ondelete="SET NULL"), index=True
    )
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    device_class_id: Mapped[int] = mapped_column(ForeignKey("device_classes.id"))
    records_key: Mapped[str]
    untuned_s: Mapped[float | None]
    tuned_s: Mapped[float | None]
    reference_s: Mapped[float | None]
    max_abs: Mapped[float | None]
    max_rel: Mapped[float | None]
    tasks_total: Mapped[int]
    tasks_tuned: Mapped[int]
    details: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=db_now())
