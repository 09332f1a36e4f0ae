"""What is tuned, and on what."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ForeignKey,
    Index,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.storage._tables.base import Base
from orchestrator.storage._types import Compressed, db_now

__all__ = ["Device", "DeviceClass", "Extraction", "Model", "ModelTask", "Target", "Toolchain", "Workload"]


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
