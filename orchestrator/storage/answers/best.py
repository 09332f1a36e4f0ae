"""The best of every workload."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from orchestrator.storage._models import DeviceClass, Trial, Workload

__all__ = ["best_id"]


def best_id() -> Any:
    return (
        select(Trial.id)
        .where(
            Trial.workload_id == Workload.id,
            Trial.device_class_id == DeviceClass.id,
            Trial.cost_s.is_not(None),
        )
        .order_by(Trial.cost_s, Trial.id)
        .limit(1)
        .correlate(Workload, DeviceClass)
        .scalar_subquery()
    )
