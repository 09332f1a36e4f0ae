"""What pages and the API read of the store, each of it good for a moment for all who look."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.documents.details import Details, read_details
from orchestrator.documents.snapshot import Snapshot, read_snapshot, snapshot_of
from orchestrator.documents.text import device_text
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.models.extraction import held_version
from orchestrator.models.lookup import device_info
from orchestrator.service.parts import Parts
from orchestrator.storage import (
    CampaignState,
    DeviceCheckRow,
    DeviceClassFailures,
    DeviceClassRow,
    DeviceRow,
    ModelDeviceRow,
    ProfileRow,
    StoreStatistics,
)

__all__ = [
    "campaign_changed",
    "device_class",
    "latest_profile",
    "model_device",
    "recent_campaigns",
    "recent_checks",
    "recent_details",
    "recent_devices",
    "recent_failures",
    "recent_snapshot",
    "recent_statistics",
]

# Of a million trials these take a second or so.
_SLOW_SECONDS = 15.0


def recent_campaigns(
    parts: Parts, states: tuple[CampaignState, ...] = (), limit: int = 50, name: str | None = None
) -> list[Snapshot]:
    """Return the newest campaigns, or the one of a name, with their progress."""

    def read() -> list[Snapshot]:
        rows = parts.store.campaigns.newest(states=states or None, name=name, limit=limit or None)
        return [snapshot_of(parts.store, row) for row in rows]

    return parts.recent.get(("campaigns", states, limit, name), read)


def recent_snapshot(parts: Parts, campaign: str) -> Snapshot:
    """Return a campaign by its number or name, and its progress."""
    return parts.recent.get(("snapshot", campaign), lambda: read_snapshot(parts.store, campaign))


def recent_details(parts: Parts, campaign: str) -> Details:
    """Return all there is to know about a campaign, its trials apart."""
    return parts.recent.get(("details", campaign), lambda: read_details(parts.store, campaign))


def campaign_changed(parts: Parts, campaign_id: int, name: str) -> None:
    """Have what is shown of a campaign read anew."""
    for key in (str(campaign_id), name):
        parts.recent.forget(("snapshot", key))
        parts.recent.forget(("details", key))
    parts.recent.forget_all("campaigns")
    parts.recent.forget_all("campaigns page")


def recent_failures(parts: Parts, campaign_id: int) -> list[DeviceClassFailures]:
    """Return how the trials of a campaign failed."""
    return parts.recent.get(
        ("failures", campaign_id), lambda: parts.store.answers.failures(campaign_id=campaign_id)
    )


def recent_devices(parts: Parts) -> list[DeviceRow]:
    """Return the devices as they stand."""
    return parts.recent.get("devices", parts.store.devices.all)


def recent_checks(parts: Parts) -> list[DeviceCheckRow]:
    """Return the last check of each device."""
    return parts.recent.get("device checks", parts.store.device_checks.latest)


def recent_statistics(parts: Parts) -> StoreStatistics:
    """Return how much is stored, as of a while ago: of a million trials, counting takes seconds."""
    return parts.recent.get("statistics", parts.store.upkeep.statistics, seconds=_SLOW_SECONDS, old=True)


def device_class(parts: Parts, text: str, engine: str | None = None) -> DeviceClassRow:
    """Find a device class by its name, or by a part of it that only one has.

    Raises
    ------
    NotFoundError
    UsageError
        Several have it.
    """
    rows = parts.store.device_classes.all(engine)
    exact = [row for row in rows if text in (row.name, device_text(row.name))]
    found = exact or [row for row in rows if text in row.name]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{text[:80]!r} stands for several: {', '.join(row.name for row in found)}")
    there = ", ".join(row.name for row in rows) or "none"
    raise NotFoundError(f"no device class {text[:80]!r} is stored; there are: {there}")


def model_device(parts: Parts, model_id: int, device: str | None) -> ModelDeviceRow:
    """Return the device class whose times of a model are meant: the one that was named, or the one with most.

    Raises
    ------
    NotFoundError
        No such model, or it was not extracted for that.
    """
    model = parts.store.models.get(model_id)
    there = parts.store.extractions.device_classes(model_id)
    if device is not None:
        name = device_class(parts, device).name
        there = [row for row in there if row.device_class == name]
    if not there:
        where = f" for {device[:80]!r}" if device else ""
        raise NotFoundError(f"no tasks of {model.name} are stored{where}: no campaign tuned it yet")
    found = max(there, key=lambda row: row.tasks_timed)
    row = parts.store.device_classes.find(found.device_class)
    assert row is not None
    version = held_version(parts.store, model_id, found.engine, device_info(row), found.engine_version)
    return replace(found, engine_version=version)


def latest_profile(parts: Parts, model_id: int, device: str | None) -> ProfileRow:
    """Return where a model's time went when somebody looked last.

    Raises
    ------
    NotFoundError
        Nobody did.
    """
    here = model_device(parts, model_id, device)
    found = parts.store.profiles.latest(model_id, here.device_class)
    if found is None:
        name = parts.store.models.get(model_id).name
        raise NotFoundError(
            f"nobody looked into {name} on {here.device_class}: `tunefleet profile MODEL` does, there"
        )
    return found
