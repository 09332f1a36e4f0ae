"""The tables. A change here needs a migration beside it; a test compares the two."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from orchestrator.storage._types import Compressed, Instant, db_now

__all__ = [
    "AuditEntry",
    "Base",
    "Campaign",
    "CampaignModel",
    "Device",
    "DeviceCheck",
    "DeviceClass",
    "Extraction",
    "LayoutDecision",
    "Measurement",
    "Model",
    "ModelTask",
    "Submission",
    "Target",
    "Task",
    "Token",
    "Toolchain",
    "Trial",
    "Verification",
    "Workload",
]


class Base(DeclarativeBase):
    """Constraints get names by rule, so that a migration can name what it drops on any database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own idiom
        str: String,
        float: Double,
        bytes: LargeBinary,
        datetime: Instant,
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }


class Model(Base):
    """A model file with its input shapes fixed."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("sha256", "shapes_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    shapes_key: Mapped[str] = mapped_column(Text)
    name: Mapped[str]
    path: Mapped[str] = mapped_column(Text)
    inputs: Mapped[list[Any]]
    outputs: Mapped[list[Any]]
    changes: Mapped[list[Any]]
    # What it was converted from; all empty where nothing is known of that.
    source: Mapped[str] = mapped_column(Text, default="", server_default="")
    framework: Mapped[str] = mapped_column(default="", server_default="")
    exporter: Mapped[str] = mapped_column(default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(default=db_now())


class Toolchain(Base):
    """What something was measured with; times of one key compare, on one device class."""

    __tablename__ = "toolchains"

    id: Mapped[int] = mapped_column(primary_key=True)
    # All that was said of it, as canonical JSON.
    versions: Mapped[str] = mapped_column(Text, unique=True)
    key: Mapped[str] = mapped_column(index=True)
    tvm: Mapped[str]
    llvm: Mapped[str]
    engine: Mapped[str]
    kernels: Mapped[str]
    driver: Mapped[str]
    tunefleet: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=db_now())


class Target(Base):
    """What an engine compiles for."""

    __tablename__ = "targets"
    __table_args__ = (UniqueConstraint("engine", "spec"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    engine: Mapped[str]
    spec: Mapped[str] = mapped_column(Text)


class DeviceClass(Base):
    """Within one of these, and nowhere else, run times compare."""

    __tablename__ = "device_classes"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    target_id: Mapped[int] = mapped_column(ForeignKey("targets.id"), index=True)
    model: Mapped[str]
    cores: Mapped[int]
    kind: Mapped[str]
    # Key of the toolchain that it is measured with now; empty until it is.
    toolchain: Mapped[str] = mapped_column(default="", server_default="")


class Device(Base):
    """A device as the tracker knows it."""

    __tablename__ = "devices"
    __table_args__ = (UniqueConstraint("key", "host"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    host: Mapped[str]
    device_class_id: Mapped[int] = mapped_column(ForeignKey("device_classes.id"))
    versions: Mapped[dict[str, Any]]
    last_seen_at: Mapped[datetime] = mapped_column(default=db_now())
    state: Mapped[str] = mapped_column(server_default="seen")
    message: Mapped[str] = mapped_column(Text, server_default="")
    trials_per_hour: Mapped[float | None]


class Workload(Base):
    """A computation, whatever models it occurs in."""

    __tablename__ = "workloads"
    # Those of one name, the latest first.
    __table_args__ = (Index(None, "engine", "name", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(unique=True)
    engine: Mapped[str]
    name: Mapped[str]
    flops: Mapped[float]
    module: Mapped[bytes] = mapped_column(Compressed)
    created_at: Mapped[datetime] = mapped_column(default=db_now())


class Extraction(Base):
    """That a model was taken apart for a target: also where it had no task at all."""

    __tablename__ = "extractions"
    __table_args__ = (UniqueConstraint("model_id", "target_id", "engine_version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    target_id: Mapped[int] = mapped_column(ForeignKey("targets.id"))
    engine_version: Mapped[str]
    layout: Mapped[str] = mapped_column(default="", server_default="")
    layout_reason: Mapped[str] = mapped_column(default="", server_default="")
    # The layout that is estimated to take about as long, and what both are; empty where none does.
    alternative: Mapped[str] = mapped_column(default="", server_default="")
    estimate_s: Mapped[float | None]
    alternative_s: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=db_now())


class ModelTask(Base):
    """A workload in an extracted model."""

    __tablename__ = "model_tasks"
    __table_args__ = (UniqueConstraint("extraction_id", "workload_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    extraction_id: Mapped[int] = mapped_column(ForeignKey("extractions.id", ondelete="CASCADE"))
    position: Mapped[int]
    name: Mapped[str]
    weight: Mapped[int]
    workload_id: Mapped[int] = mapped_column(ForeignKey("workloads.id"), index=True)


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


class ModelProfile(Base):
    """Where a model's time went, kernel by kernel, when somebody looked."""

    __tablename__ = "profiles"
    __table_args__ = (Index(None, "model_id", "device_class_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    device_class_id: Mapped[int] = mapped_column(ForeignKey("device_classes.id"))
    document: Mapped[dict[str, Any]]
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
