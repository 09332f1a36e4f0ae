"""How trials failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy import distinct as different

from orchestrator.storage._models import DeviceClass, Trial

__all__ = ["failures_of"]


def failures_of(wanted: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """Select how trials failed: a row for each device class and state, the most frequent first."""
    failed = (
        select(
            Trial.device_class_id, Trial.state, Trial.message, Trial.workload_id, Trial.id, Trial.created_at
        )
        .where(*wanted, Trial.cost_s.is_(None))
        .cte("failed")
    )
    kind = (failed.c.device_class_id, failed.c.state)
    totals = (
        select(
            *kind,
            func.count().label("trials"),
            func.count(different(failed.c.workload_id)).label("workloads"),
            func.max(failed.c.created_at).label("last_at"),
        )
        .group_by(*kind)
        .subquery("totals")
    )
    said = (
        select(*kind, failed.c.message, func.count().label("trials"), func.max(failed.c.id).label("last_id"))
        .group_by(*kind, failed.c.message)
        .subquery("said")
    )
    place = func.row_number().over(
        partition_by=(said.c.device_class_id, said.c.state),
        order_by=(said.c.trials.desc(), said.c.last_id.desc()),
    )
    most = select(said, place.label("place")).subquery("most")
    return (
        select(
            DeviceClass.name.label("device_class"),
            totals.c.state,
            totals.c.trials,
            totals.c.workloads,
            totals.c.last_at,
            most.c.message,
            most.c.trials.label("message_trials"),
        )
        .select_from(totals)
        .join(
            most,
            and_(
                most.c.device_class_id == totals.c.device_class_id,
                most.c.state == totals.c.state,
                most.c.place == 1,
            ),
        )
        .join(DeviceClass, DeviceClass.id == totals.c.device_class_id)
        .order_by(DeviceClass.name, totals.c.trials.desc(), totals.c.state)
    )
