"""What is stored of kernels inside their models, read within a transaction."""

from __future__ import annotations

import statistics
from typing import Any

from sqlalchemy import Connection, Select, and_, literal, select

from orchestrator.storage._tables import CampaignModel, DeviceClass, InsideTime, Trial, Workload
from orchestrator.storage.rows import Inside

__all__ = ["insides_of_campaign", "insides_of_model", "insides_of_models"]

_Key = tuple[str, str]


def insides_of_campaign(
    connection: Connection, campaign_id: int, toolchain: str | None = None
) -> dict[_Key, Inside]:
    """Return what is known of a campaign's models, by workload hash and device class."""
    models = select(CampaignModel.model_id).where(CampaignModel.campaign_id == campaign_id)
    return insides_of_models(connection, models, toolchain)


def insides_of_model(connection: Connection, model_id: int, device_class: str) -> dict[str, Inside]:
    """Return what is known of a model on a device class, by the hash of the workload."""
    found = insides_of_models(connection, select(literal(model_id)))
    return {workload: one for (workload, name), one in found.items() if name == device_class}


def insides_of_models(
    connection: Connection, models: Select[Any], toolchain: str | None = None
) -> dict[_Key, Inside]:
    """Return what was seen with a toolchain, by workload hash and device class.

    Parameters
    ----------
    models : Select
        Of ids.
    toolchain : str, optional
        Its key; the device class's current one if left out.
    """
    key = DeviceClass.toolchain if toolchain is None else toolchain
    same = and_(
        Trial.workload_id == InsideTime.workload_id,
        Trial.device_class_id == InsideTime.device_class_id,
        Trial.candidate == InsideTime.candidate,
        Trial.toolchain == InsideTime.toolchain,
    )
    query = (
        select(
            Workload.hash,
            DeviceClass.name,
            InsideTime.seconds,
            InsideTime.created_at,
            Trial.cost_s,
        )
        .select_from(InsideTime)
        .join(Workload, Workload.id == InsideTime.workload_id)
        .join(DeviceClass, DeviceClass.id == InsideTime.device_class_id)
        .outerjoin(Trial, same)
        .where(InsideTime.model_id.in_(models), InsideTime.toolchain == key)
        .order_by(InsideTime.id)
    )
    found: dict[_Key, list[Any]] = {}
    for row in connection.execute(query):
        found.setdefault((row.hash, row.name), []).append(row)
    return {key: _together(rows) for key, rows in found.items()}


def _together(rows: list[Any]) -> Inside:
    alone = [row.cost_s for row in rows]
    return Inside(
        statistics.fmean(row.seconds for row in rows),
        None if None in alone else statistics.fmean(alone),
        max(row.created_at for row in rows),
    )
