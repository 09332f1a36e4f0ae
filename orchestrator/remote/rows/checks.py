"""Checks of devices, and how steady these were, of what a service answers."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from orchestrator.documents.drift import CampaignDrift, DriftedTime
from orchestrator.remote.rows.values import maybe_time, time_of
from orchestrator.storage import CheckState, DeviceCheckRow
from workers.messages import Condition

__all__ = ["check_of", "drift_of"]

_CONDITION = [field.name for field in fields(Condition)]


def check_of(document: dict[str, Any], device: str, host: str, device_class: str) -> DeviceCheckRow:
    """Read what :func:`orchestrator.documents.drift.check_document` writes of a device."""
    return DeviceCheckRow(
        id=0,
        campaign_id=None,
        run="",
        device_class=device_class,
        device=device,
        host=host,
        kernel="",
        state=CheckState(document["state"]),
        at_s=0.0,
        times=tuple(document["times_s"]),
        time_s=document["time_s"],
        reference_s=document["reference_s"],
        drift=document["drift"],
        tries=1,
        marked=0,
        message=document["message"],
        condition=Condition(**{name: document[name] for name in _CONDITION}),
        checked_at=time_of(document["checked_at"]),
    )


def drift_of(document: dict[str, Any]) -> CampaignDrift:
    """Read what :func:`orchestrator.documents.drift.drift_document` writes."""
    return CampaignDrift(
        tuple(
            (one["checks"], check_of(one, one["device"], one["host"], one["device_class"]))
            for one in document["devices"]
        ),
        tuple(
            DriftedTime(
                one["device"],
                one["host"],
                one["device_class"],
                maybe_time(one["began_at"]),
                maybe_time(one["ended_at"]),
                one["seconds"],
                one["drift"],
                one["measurements_marked"],
                one["settled"],
            )
            for one in document["intervals"]
        ),
        document["within"],
        document["tasks_marked"],
        tuple(document["messages"]),
    )
